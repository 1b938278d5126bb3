"""HDFS by Kerberos and TLS: who gets in, and what everybody else is told."""

import os
import subprocess
import sys
from pathlib import Path

import gssapi
import libfaketime
import pytest
import requests

from dags.hdfs_days import HdfsDays
from jobs.training_set.download import local_folder
from local_cluster.supervision import wait_until
from model_registry.connect import connect_store
from model_registry.errors import (
    KdcDownError,
    NoTicketError,
    PermissionDeniedError,
    TicketRefusedError,
    UntrustedCertificateError,
)
from model_registry.store.kerberos import KeytabLogin
from model_registry.store.webhdfs import WebHdfs, webhdfs_client
from model_registry.versions import ModelVersion, PinnedModel
from settings import REPOSITORY, HdfsLogin
from tests.kerberos.certificates import create_authority
from tests.kerberos.realm import REALM, Realm
from tests.kerberos.secured import Secured


def client(secured: Secured, login: HdfsLogin) -> WebHdfs:
    return WebHdfs(webhdfs_client(secured.settings.webhdfs_url, "scoring", login))


def without_keytab(secured: Secured) -> HdfsLogin:
    login = secured.login("scoring")
    return login.model_copy(update={"kerberos_principal": "", "kerberos_keytab": None})


def is_valid(credentials: gssapi.Credentials) -> bool:
    try:
        return bool(credentials.lifetime)
    except gssapi.exceptions.ExpiredCredentialsError:
        return False


def test_a_client_without_a_ticket_is_refused_by_name(secured: Secured) -> None:
    with pytest.raises(NoTicketError, match="set RISK_KERBEROS_PRINCIPAL and RISK_KERBEROS_KEYTAB"):
        client(secured, without_keytab(secured)).list_folders("/")


def test_a_name_that_is_only_said_is_not_believed(secured: Secured) -> None:
    """The one-machine cluster takes `user.name` for the truth."""
    answer = requests.get(
        f"{secured.settings.webhdfs_url}/webhdfs/v1/?op=LISTSTATUS&user.name=hdfs",
        verify=str(secured.authority.certificate),
        timeout=30,
    )
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Negotiate")


def test_the_keytab_of_the_settings_opens_webhdfs_by_tls(
    secured: Secured, webhdfs: WebHdfs, tmp_path: Path
) -> None:
    assert secured.settings.webhdfs_url.startswith("https://")
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"some bytes" * 200_000)
    webhdfs.upload_file("/training_sets/probe/file", source)
    webhdfs.download_file("/training_sets/probe/file", copy)
    assert copy.read_bytes() == source.read_bytes()
    [(_, status)] = webhdfs.list_entries("/training_sets/probe")
    assert status["owner"] == "scoring"  # of the principal, not this process's account
    webhdfs.remove_folder("/training_sets/probe")


def test_another_authority_s_certificate_is_refused_by_name(secured: Secured, tmp_path: Path) -> None:
    stranger = create_authority(tmp_path / "tls")
    with pytest.raises(UntrustedCertificateError, match=r"CERTIFICATE_VERIFY_FAILED.*set RISK_CA_FILE"):
        client(secured, secured.login("scoring", stranger.certificate)).list_folders("/")


def test_without_a_ca_file_only_public_authorities_are_trusted(secured: Secured) -> None:
    login = secured.login("scoring").model_copy(update={"ca_file": None})
    with pytest.raises(UntrustedCertificateError, match="set RISK_CA_FILE"):
        client(secured, login).list_folders("/")


def test_the_ca_file_of_the_settings_wins_over_requests_own_variable(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(create_authority(tmp_path / "tls").certificate))
    assert "landing" in client(secured, secured.login("scoring")).list_folders("/")


def test_nothing_of_webhdfs_is_served_without_tls(secured: Secured) -> None:
    port = secured.settings.ports.namenode_web
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://localhost:{port}/webhdfs/v1/?op=LISTSTATUS", timeout=30)


@pytest.mark.parametrize(
    ("principal", "keytab", "message"),
    [
        (f"nobody@{REALM}", "scoring", "correct RISK_KERBEROS_PRINCIPAL"),
        (f"scoring@{REALM}", "reader", "correct RISK_KERBEROS_PRINCIPAL"),
        (f"gone@{REALM}", "gone", "Client .* not found in Kerberos database.*let an administrator add it"),
        (f"changed@{REALM}", "changed", "export the keytab anew"),
    ],
)
def test_a_wrong_principal_or_keytab_is_refused_by_name(
    secured: Secured, principal: str, keytab: str, message: str
) -> None:
    realm = secured.realm
    if keytab == "gone":
        realm.add("gone")
        realm.remove("gone")
    if keytab == "changed":
        realm.add("changed")
        realm.change_key("changed")
    login = HdfsLogin(
        kerberos_principal=principal,
        kerberos_keytab=realm.keytab(keytab),
        ca_file=secured.authority.certificate,
    )
    with pytest.raises(TicketRefusedError, match=message):
        client(secured, login).list_folders("/")


def test_an_address_that_is_no_principal_s_host_is_refused_by_name(secured: Secured) -> None:
    by_number = secured.settings.webhdfs_url.replace("localhost", "127.0.0.1")
    with pytest.raises(TicketRefusedError, match="call WebHDFS by the host name of its principal"):
        WebHdfs(webhdfs_client(by_number, "scoring", secured.login("scoring"))).list_folders("/")


@pytest.mark.usefixtures("secured")
def test_a_clock_that_runs_ahead_is_named() -> None:
    """Twenty minutes ahead, where the pipeline's tickets last two."""
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    look = """
from model_registry.connect import connect_store
from model_registry.versions import ModelVersion
from settings import Settings
connect_store(Settings()).exists(ModelVersion("any", 1, "ab" * 32))
"""
    done = subprocess.run(
        [sys.executable, "-c", look],
        env={**os.environ, "LD_PRELOAD": str(library), "FAKETIME": "+20m"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert "TicketRefusedError" in last
    assert "set the clocks of this machine and of the KDC" in last


def test_a_realm_without_a_kdc_is_an_outage(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Realm(tmp_path / "realm", port=1)
    dead.create()
    monkeypatch.setenv("KRB5_CONFIG", str(dead.krb5_conf))
    login = KeytabLogin(f"reader@{REALM}", secured.realm.keytab("reader"))
    with pytest.raises(KdcDownError, match="Cannot contact any KDC") as refusal:
        login.ticket_for("localhost")
    assert refusal.value.retryable


def test_a_client_outlives_its_ticket(secured: Secured) -> None:
    """The ticket of this principal lasts five seconds."""
    secured.realm.add("brief", longest_life="5 seconds")
    login = KeytabLogin(f"brief@{REALM}", secured.realm.keytab("brief"))
    first = login.credentials()
    wait_until(lambda: not is_valid(first), "the ticket has not expired", timeout_seconds=30)
    assert login.ticket_for("localhost")
    assert is_valid(login.credentials())


@pytest.mark.parametrize(
    ("protection", "message"),
    [
        ("privacy", ""),
        ("authentication", "No common protection layer between client and server"),
        ("", "Could not obtain block"),  # the DataNode hangs up on a client that does not log in
    ],
)
def test_datanodes_send_blocks_only_to_clients_that_log_in_and_encrypt(
    secured: Secured, webhdfs: WebHdfs, tmp_path: Path, protection: str, message: str
) -> None:
    (tmp_path / "source").write_text("some bytes")
    webhdfs.upload_file("/training_sets/by_hadoop", tmp_path / "source")
    done = secured.hadoop_fs(
        "scoring/operator",
        *(
            "-D",
            f"dfs.data.transfer.protection={protection}",
            "-D",
            "dfs.client.max.block.acquire.failures=0",
        ),
        *("-cat", "/training_sets/by_hadoop"),
    )
    assert (done.returncode, done.stdout) == ((1, "") if message else (0, "some bytes")), done.stderr
    assert message in done.stderr


def test_another_principal_may_read_but_not_write(secured: Secured) -> None:
    reader = client(secured, secured.login("reader"))
    assert "lake" in reader.list_folders("/")
    with pytest.raises(PermissionDeniedError, match="user=reader, access=WRITE"):
        reader.make_folder("/lake/by_reader")


def test_a_model_is_pushed_and_verified(secured: Secured, model: PinnedModel) -> None:
    connect_store(secured.settings).verify(ModelVersion(model.name, model.version, model.sha256))


def test_a_wait_of_a_night_looks_at_hdfs_with_the_same_log_in(secured: Secured) -> None:
    settings = secured.settings
    days = HdfsDays(settings.webhdfs_url, settings.hdfs_user, settings.landing_root, settings.receipts_root)
    assert days.unlanded("2023-01-01") == ["/landing/installs/ds=2023-01-01/_SUCCESS"]


def test_a_training_set_is_downloaded_with_the_same_log_in(
    secured: Secured, webhdfs: WebHdfs, tmp_path: Path
) -> None:
    (tmp_path / "part").write_text("rows")
    webhdfs.upload_file("/training_sets/small/part", tmp_path / "part")
    with local_folder("hdfs://localhost/training_sets/small", secured.settings.webhdfs_url) as folder:
        assert (folder / "part").read_text() == "rows"


def test_a_download_without_a_ticket_is_refused_by_name(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RISK_KERBEROS_PRINCIPAL", "RISK_KERBEROS_KEYTAB"):
        monkeypatch.delenv(name)
    with (
        pytest.raises(NoTicketError),
        local_folder("hdfs://localhost/training_sets/small", secured.settings.webhdfs_url),
    ):
        pass

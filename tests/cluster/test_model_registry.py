"""Models on real HDFS and a real MLflow server: register, push, promote, pin, and what can go wrong."""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier, Thread

import hdfs
import mlflow
import pytest
import requests

from model_registry import __main__ as command_line
from model_registry.errors import (
    AliasMissingError,
    HashMismatchError,
    MlflowDownError,
    ModelFolderMissingError,
    ModelRegistryError,
    NoSpaceError,
    PermissionDeniedError,
    PromotionRefusedError,
    RemoteRequestError,
    RunMissingError,
    RunWithoutModelError,
    SigningKeyError,
    VersionExistsError,
    VersionMissingError,
    VersionNotPushedError,
    WebHdfsDownError,
)
from model_registry.hashing import folder_sha256
from model_registry.publishing import Approval, promote_version, push_version
from model_registry.resolve import pin
from model_registry.signing import read_public_key, signature_beside, verify_signature
from model_registry.store.model_store import ModelStore
from model_registry.store.webhdfs import WebHdfs
from model_registry.tracking.model_tracking import ModelTracking
from model_registry.versions import ModelVersion, PinnedModel

FILES = {
    "saved_model.pb": b"graph" * 1000,
    "fingerprint.pb": b"",  # HDFS clients differ on empty files
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 5000,  # above one chunk
    "assets.extra/vocabulary.txt": b"maps\nchat\n",
}


@pytest.fixture
def client(cluster) -> hdfs.Client:
    return hdfs.InsecureClient(cluster.webhdfs_url, user=cluster.settings.hdfs_user)


@pytest.fixture
def root() -> str:
    """A root folder for this test alone."""
    return f"/test_model_registry/{uuid.uuid4().hex}"


@pytest.fixture
def store(cluster, client, root) -> ModelStore:
    return ModelStore(client, root, cluster.hdfs_url)


@pytest.fixture
def by_ana(cluster) -> Approval:
    return Approval("ana", cluster.settings.signing_key)


@pytest.fixture
def saved_model(tmp_path) -> Path:
    """Bytes with the layout of a SavedModel; only the tests that score need a real one."""
    return write_files(tmp_path / "saved_model", FILES)


@pytest.fixture
def model(saved_model) -> ModelVersion:
    return ModelVersion("risk_encoder", 1, folder_sha256(saved_model))


@pytest.fixture
def tracking(cluster) -> ModelTracking:
    """A registered model for this test alone."""
    return ModelTracking(cluster.mlflow_uri, f"test_{uuid.uuid4().hex}")


@pytest.fixture
def register(tracking, saved_model, monkeypatch) -> Callable[[], int]:
    """Register another version, of a made-up training run; the wrapper has its own tests below."""
    monkeypatch.setattr(
        "model_registry.tracking.model_tracking.log_pyfunc_model", lambda run_id, *_: f"runs:/{run_id}/model"
    )

    def register_one() -> int:
        return tracking.register(log_run(saved_model)).version

    return register_one


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def log_run(saved_model: Path | None) -> str:
    """A finished training run, as far as the registry reads it; the tracking uri is the fixture's."""
    mlflow.set_experiment("test_model_registry")
    with mlflow.start_run() as run:
        mlflow.log_metrics({"test_auc": 0.8731, "baseline_test_auc": 0.861})
        mlflow.set_tag("mlflow.note.content", "- model: AUC 0.8731")
        if saved_model is not None:
            mlflow.log_artifacts(str(saved_model), "saved_model")
        mlflow.log_text("MLmodel of a make-believe model", "model/MLmodel")
    return run.info.run_id


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# The store


def test_a_pushed_folder_has_the_registered_bytes_and_every_user_may_read_it(
    store, client, root, cluster, saved_model, model
):
    uri = store.push(saved_model, model)
    assert uri == f"{cluster.hdfs_url}{root}/risk_encoder/risk_encoder-v1-{model.sha256[:12]}"
    store.verify(model)
    walked = list(client.walk(root, status=True))
    assert {status["permission"] for (_, status), _, _ in walked} == {"755"}
    assert {status["permission"] for _, _, files in walked for _, status in files} == {"644"}
    assert sum(len(files) for _, _, files in walked) == len(FILES)


def test_a_version_is_never_pushed_twice(store, saved_model, model):
    store.push(saved_model, model)
    with pytest.raises(VersionExistsError, match="immutable"):
        store.push(saved_model, model)
    store.verify(model)


def test_a_push_removes_only_the_leftovers_of_interrupted_pushes_of_its_version(
    store, client, root, saved_model, model
):
    staging = f"{root}/risk_encoder/_staging"
    client.write(f"{staging}/{model.dirname}.dead/saved_model.pb", data=b"half")
    client.write(f"{staging}/risk_encoder-v2-ffffffffffff.alive/saved_model.pb", data=b"half")
    store.push(saved_model, model)
    assert client.list(staging) == ["risk_encoder-v2-ffffffffffff.alive"]


def test_a_push_removes_what_a_killed_push_of_any_version_left_more_than_a_day_ago(
    store, client, root, saved_model, model
):
    staging = f"{root}/risk_encoder/_staging"
    for name, hours in (
        ("risk_encoder-v7-ffffffffffff.dead", 25),
        ("risk_encoder-v8-ffffffffffff.alive", 23),
    ):
        client.write(f"{staging}/{name}/saved_model.pb", data=b"half")
        client.set_times(f"{staging}/{name}", modification_time=int((time.time() - hours * 3600) * 1000))
    store.push(saved_model, model)
    assert client.list(staging) == ["risk_encoder-v8-ffffffffffff.alive"]


class ForgetfulClient(hdfs.InsecureClient):
    """Loses the answer to a rename, after or before HDFS has done it."""

    def __init__(self, cluster, does_it: bool) -> None:
        super().__init__(cluster.webhdfs_url, user=cluster.settings.hdfs_user)
        rename = self._rename

        def lose_the_answer(*arguments, **options):
            if does_it:
                rename(*arguments, **options)
            raise requests.ConnectionError("connection reset by peer")

        self._rename = lose_the_answer


def test_a_push_whose_rename_was_done_but_not_answered_has_succeeded(cluster, root, saved_model, model):
    store = ModelStore(ForgetfulClient(cluster, does_it=True), root, cluster.hdfs_url)
    assert store.push(saved_model, model) == store.pinned(model).uri
    store.verify(model)


def test_a_push_whose_rename_was_not_done_fails_and_the_next_one_succeeds(
    cluster, store, client, root, saved_model, model
):
    with pytest.raises(WebHdfsDownError, match="connection reset"):
        ModelStore(ForgetfulClient(cluster, does_it=False), root, cluster.hdfs_url).push(saved_model, model)
    assert client.list(f"{root}/risk_encoder/_staging") == []
    store.push(saved_model, model)


def test_one_of_several_pushes_at_once_wins_and_the_folder_is_whole(store, client, root, saved_model, model):
    start = Barrier(3)

    def push(_: int) -> str:
        start.wait()
        try:
            return store.push(saved_model, model)
        except VersionExistsError:
            return "exists"

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(push, range(3)))
    assert sorted(result == "exists" for result in results) == [False, True, True]
    store.verify(model)  # a folder moved into the other would change the hash
    assert client.list(f"{root}/risk_encoder/_staging") == []


def test_a_rename_never_moves_a_folder_into_an_existing_one(client, root):
    # The check before a push may be stale by the time of the rename, so this rule is what publishes safely.
    for folder in ("staged", "final"):
        client.makedirs(f"{root}/{folder}")
    with pytest.raises(VersionExistsError, match="already exists"):
        WebHdfs(client).rename(f"{root}/staged", f"{root}/final")
    assert client.list(f"{root}/final") == []


def test_a_folder_that_is_not_what_was_registered_is_not_pushed(store, client, root, saved_model, model):
    (saved_model / "saved_model.pb").write_bytes(b"another graph")
    with pytest.raises(HashMismatchError, match=model.sha256):
        store.push(saved_model, model)
    assert client.status(root, strict=False) is None


def test_bytes_that_change_during_the_upload_are_never_published(cluster, client, root, saved_model, model):
    class LossyClient(hdfs.InsecureClient):
        def write(self, hdfs_path, data, **options):
            return super().write(hdfs_path, data=data.read()[:-1], **options)

    lossy = LossyClient(cluster.webhdfs_url, user=cluster.settings.hdfs_user)
    with pytest.raises(HashMismatchError, match="_staging"):
        ModelStore(lossy, root, cluster.hdfs_url).push(saved_model, model)
    assert client.list(f"{root}/risk_encoder") == ["_staging"]
    assert client.list(f"{root}/risk_encoder/_staging") == []


@pytest.mark.parametrize("damage", ["byte", "extra", "missing"])
def test_verification_finds_any_damage(store, client, saved_model, model, damage):
    store.push(saved_model, model)
    folder = store.path(model)
    match damage:
        case "byte":
            client.write(f"{folder}/saved_model.pb", data=b"Graph" * 1000, overwrite=True)
        case "extra":
            client.write(f"{folder}/variables/extra", data=b"")
        case "missing":
            client.delete(f"{folder}/fingerprint.pb")
    with pytest.raises(HashMismatchError, match=model.sha256):
        store.verify(model)


def test_a_version_that_was_never_pushed_cannot_be_verified_or_pulled(store, model, tmp_path):
    with pytest.raises(ModelFolderMissingError, match="push --version 1"):
        store.verify(model)
    with pytest.raises(ModelFolderMissingError, match="push --version 1"):
        store.pull(model, tmp_path / "pulled")


def test_a_pull_brings_back_what_was_pushed_and_a_second_one_checks_the_copy(
    store, saved_model, model, tmp_path
):
    store.push(saved_model, model)
    pulled = store.pull(model, tmp_path / "pulled")
    assert pulled.name == model.dirname
    assert folder_sha256(pulled) == model.sha256
    assert store.pull(model, tmp_path / "pulled") == pulled
    (pulled / "saved_model.pb").write_bytes(b"edited")
    with pytest.raises(HashMismatchError, match=model.sha256):
        store.pull(model, tmp_path / "pulled")


def test_another_user_may_read_but_not_push(cluster, client, root, saved_model, model):
    client.makedirs(root, permission="755")
    stranger = ModelStore(hdfs.InsecureClient(cluster.webhdfs_url, user="stranger"), root, cluster.hdfs_url)
    with pytest.raises(PermissionDeniedError, match="user=stranger"):
        stranger.push(saved_model, model)
    ModelStore(client, root, cluster.hdfs_url).push(saved_model, model)
    stranger.verify(model)


def test_a_folder_without_permission_is_reported_as_denied_and_not_as_absent(cluster, client, root, model):
    client.makedirs(root, permission="700")
    stranger = ModelStore(hdfs.InsecureClient(cluster.webhdfs_url, user="stranger"), root, cluster.hdfs_url)
    with pytest.raises(PermissionDeniedError, match="EXECUTE"):
        stranger.exists(model)


def test_a_full_quota_is_named_and_no_partial_folder_stays(cluster, store, client, root, saved_model, model):
    client.makedirs(root)
    cluster.set_quota(root, storage_bytes=1_000_000)  # below one block
    with pytest.raises(NoSpaceError, match="quota"):
        store.push(saved_model, model)
    assert client.list(f"{root}/risk_encoder/_staging") == []


def test_webhdfs_that_is_down_is_named_within_seconds(cluster, model):
    url = f"http://127.0.0.1:{closed_port()}"
    started = time.monotonic()
    with pytest.raises(WebHdfsDownError, match=url):
        ModelStore(hdfs.InsecureClient(url), "/models", cluster.hdfs_url).verify(model)
    assert time.monotonic() - started < 30


def test_an_address_without_a_namenode_is_an_error_and_not_an_empty_store(cluster, model):
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        not_hdfs = hdfs.InsecureClient(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(RemoteRequestError, match="NameNode"):
            ModelStore(not_hdfs, "/models", cluster.hdfs_url).exists(model)
        server.shutdown()


# The versions


def test_mlflow_that_is_down_is_named_within_seconds():
    url = f"http://127.0.0.1:{closed_port()}"
    started = time.monotonic()
    with pytest.raises(MlflowDownError, match=url):
        ModelTracking(url, "risk_encoder").champion()
    assert time.monotonic() - started < 60


def test_a_training_run_is_registered_once(tracking, saved_model, register):
    run_id = log_run(saved_model)
    first = tracking.register(run_id)
    assert tracking.register(run_id) == first
    shown = mlflow.MlflowClient().get_model_version(first.name, str(first.version)).description
    assert shown == "- model: AUC 0.8731"
    assert first.sha256 == folder_sha256(saved_model)
    assert [row.run_id for row in tracking.rows()] == [run_id]
    assert register() == first.version + 1


@pytest.mark.usefixtures("register")
def test_registering_one_run_twice_at_once_makes_one_version(tracking, saved_model):
    run_id = log_run(saved_model)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(tracking.register, [run_id, run_id])
    assert first == second
    assert [row.version for row in tracking.rows()] == [first.version]


def test_a_run_that_is_unknown_or_exported_nothing_cannot_be_registered(tracking):
    with pytest.raises(RunMissingError, match="f" * 32):
        tracking.register("f" * 32)
    with pytest.raises(RunWithoutModelError, match="saved_model"):
        tracking.register(log_run(None))


def test_a_push_tags_the_version_and_makes_it_challenger(tracking, store, register):
    pinned = push_version(tracking, store, register())
    store.verify(pinned)
    (row,) = tracking.rows()
    assert row.hdfs_uri == pinned.uri
    assert row.sha256 == pinned.sha256
    assert row.aliases == ("challenger",)
    assert (row.auc, row.baseline_auc) == (0.8731, 0.861)


def test_a_push_that_died_before_its_tags_is_completed_by_the_next(
    tracking, store, register, saved_model, by_ana
):
    number = register()
    store.push(saved_model, tracking.version(number))
    with pytest.raises(VersionNotPushedError, match=f"push --version {number}"):
        promote_version(tracking, store, number, by_ana)
    pinned = push_version(tracking, store, number)
    assert push_version(tracking, store, number) == pinned
    assert tracking.pushed(number) == pinned


def test_pushing_an_older_version_again_leaves_the_newer_challenger(tracking, store, register):
    old, new = register(), register()
    for number in (new, old, old):
        push_version(tracking, store, number)
    assert {row.version: row.aliases for row in tracking.rows()} == {new: ("challenger",), old: ()}


def test_a_push_over_other_bytes_of_the_same_version_is_refused(tracking, store, client, register):
    number = register()
    push_version(tracking, store, number)
    client.write(f"{store.path(tracking.version(number))}/extra", data=b"x")
    with pytest.raises(HashMismatchError):
        push_version(tracking, store, number)


def test_artifacts_that_changed_since_registration_are_not_pushed(tracking, store, register, saved_model):
    number = register()
    (saved_model / "saved_model.pb").write_bytes(b"trained again")
    mlflow.MlflowClient().log_artifacts(tracking.run_id(number), str(saved_model), "saved_model")
    with pytest.raises(HashMismatchError):
        push_version(tracking, store, number)


def test_only_a_version_that_is_whole_on_hdfs_becomes_champion(tracking, store, client, register, by_ana):
    unpushed, lost, damaged = register(), register(), register()
    for number in (lost, damaged):
        push_version(tracking, store, number)
    client.delete(store.path(tracking.version(lost)), recursive=True)
    client.write(f"{store.path(tracking.version(damaged))}/extra", data=b"x")
    refusals: dict[int, type[ModelRegistryError]] = {
        unpushed: VersionNotPushedError,
        lost: ModelFolderMissingError,
        damaged: HashMismatchError,
        damaged + 1: VersionMissingError,
    }
    for number, error in refusals.items():
        with pytest.raises(error, match="expected"):
            promote_version(tracking, store, number, by_ana)
    with pytest.raises(AliasMissingError):
        tracking.champion()


def test_a_version_that_another_root_holds_is_not_promoted(
    tracking, store, cluster, client, register, by_ana
):
    number = register()
    push_version(tracking, store, number)
    elsewhere = ModelStore(client, "/another_root", cluster.hdfs_url)
    with pytest.raises(VersionNotPushedError, match="another_root"):
        promote_version(tracking, elsewhere, number, by_ana)


def test_the_champion_is_pinned_by_value_and_older_versions_by_number(tracking, store, register, by_ana):
    old, new = register(), register()
    for number in (old, new):
        push_version(tracking, store, number)
    promote_version(tracking, store, old, by_ana)
    pinned = pin(tracking, store)
    promote_version(tracking, store, new, replace(by_ana, is_forced=True))  # nobody compared them
    assert pinned.version == old
    assert pin(tracking, store).version == new
    assert pin(tracking, store, old) == pinned == PinnedModel.from_json(pinned.to_json())


def test_a_version_that_was_not_compared_is_promoted_only_by_force_which_is_recorded(
    tracking, store, register, by_ana
):
    old, new = register(), register()
    for number in (old, new):
        push_version(tracking, store, number)
    promote_version(
        tracking, store, old, replace(by_ana, is_forced=True)
    )  # nothing to overrule: nobody is champion yet
    with pytest.raises(PromotionRefusedError, match="no finished comparison"):
        promote_version(tracking, store, new, by_ana)
    assert tracking.champion() == old
    promote_version(tracking, store, new, replace(by_ana, is_forced=True))
    assert tracking.champion() == new
    client = mlflow.MlflowClient()
    tags = client.get_model_version(tracking.model_name, str(new)).tags
    assert (tags["promoted_by"], tags["forced_over"]) == ("ana", "no finished comparison of the two")
    assert client.get_model_version(tracking.model_name, str(old)).tags["forced_over"] == "nothing"


def test_a_promotion_signs_the_version_on_hdfs_and_in_its_run(
    tracking, store, client, register, cluster, by_ana, tmp_path
):
    pinned = push_version(tracking, store, register())
    promote_version(tracking, store, pinned.version, by_ana)
    folder = store.pull(pinned, tmp_path / "night")
    client.download(f"{store.path(pinned)}.sig", str(signature_beside(folder)))
    verify_signature(folder, read_public_key(cluster.settings.public_key))
    run_id = tracking.run_id(pinned.version)
    tracking.download_signatures(run_id, tmp_path)
    saved_model = tracking.download_saved_model(run_id, tmp_path / "run").rename(tmp_path / pinned.dirname)
    verify_signature(saved_model, read_public_key(cluster.settings.public_key))


def test_a_version_is_signed_again_when_it_is_promoted_again(tracking, store, client, register, by_ana):
    pinned = push_version(tracking, store, register())
    ids = set()
    for _ in range(2):
        promote_version(tracking, store, pinned.version, by_ana)
        ids.add(client.status(f"{store.path(pinned)}.sig")["fileId"])
    assert len(ids) == 2
    assert client.list(f"{store.path(pinned).rpartition('/')[0]}/_staging") == []


def test_without_the_private_key_nothing_is_promoted(tracking, store, client, register, tmp_path):
    pinned = push_version(tracking, store, register())
    with pytest.raises(SigningKeyError, match=r"no\.key"):
        promote_version(tracking, store, pinned.version, Approval("ana", tmp_path / "no.key"))
    assert client.status(f"{store.path(pinned)}.sig", strict=False) is None
    with pytest.raises(AliasMissingError):
        tracking.champion()


def test_without_a_champion_the_pin_says_how_to_promote_one(tracking, store, register):
    push_version(tracking, store, register())
    with pytest.raises(AliasMissingError, match="promote --version"):
        pin(tracking, store)


def test_a_champion_whose_folder_was_deleted_is_not_pinned(tracking, store, client, register, by_ana):
    champion = promote_version(tracking, store, push_version(tracking, store, register()).version, by_ana)
    client.delete(store.path(champion), recursive=True)
    with pytest.raises(ModelFolderMissingError, match=f"push --version {champion.version}"):
        pin(tracking, store)


# The command line and the wrapper, with a real SavedModel


@pytest.fixture
def command(cluster, root, tracking, monkeypatch, capsys) -> Callable[..., str]:
    """Run `python -m model_registry` in this process; return what it printed."""
    monkeypatch.setenv("RISK_WEBHDFS_URI", cluster.webhdfs_url)
    monkeypatch.setenv("RISK_HDFS_URI", cluster.hdfs_url)
    monkeypatch.setenv("RISK_MLFLOW_URI", cluster.mlflow_uri)
    monkeypatch.setenv("RISK_MODELS_ROOT", root)
    monkeypatch.setenv("RISK_MODEL_NAME", tracking.model_name)
    monkeypatch.setenv("RISK_MODEL_SIGNING_KEY", str(cluster.settings.signing_key))

    def run(*arguments: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["model_registry", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        printed = capsys.readouterr()
        assert ended.value.code == status, printed.err
        return printed.err if status else printed.out

    return run


def test_from_a_training_run_to_the_model_that_a_night_pins_and_mlflow_serves(
    command, cluster, tracking, tmp_path
):
    run_id = log_run(save_counting_model(tmp_path / "counting"))

    registered = json.loads(last_line(command("register", "--run-id", run_id)))
    assert registered["run_id"] == run_id
    number = str(registered["version"])
    refused = command("promote", "--version", number, status=65)
    assert last_line(refused).startswith("model_registry failed: VersionNotPushedError: ")
    pushed = PinnedModel.from_json(last_line(command("push", "--version", number)))
    assert "is champion" in command("promote", "--version", number)
    assert PinnedModel.from_json(last_line(command("pin"))) == pushed
    assert "as registered" in command("verify", "--version", number)
    pulled = Path(last_line(command("pull", "--version", number, str(tmp_path / "pulled"))))
    assert folder_sha256(pulled) == registered["sha256"]
    _, row = command("list").splitlines()
    assert row.split()[:3] == [number, "challenger,champion", registered["sha256"][:12]]
    # Registering must not re-open the run: its end time is the training's.
    assert mlflow.get_run(run_id).info.status == "FINISHED"

    with Served(cluster, f"models:/{tracking.model_name}@champion", tmp_path / "serve.log") as served:
        answer = served.invoke([{"app_ids": ["maps", "never seen"]}, {"app_ids": ["maps"]}])
        assert [row["logit"] for row in answer.json()["predictions"]] == [2.0, 1.0]
        assert answer.json()["predictions"][1]["risk_score"] == pytest.approx(0.731059, abs=1e-6)
        with_sessions = [{"app_ids": ["maps", "chat"], "begins_session": [True, False]}]
        assert served.invoke(with_sessions).json()["predictions"][0]["logit"] == 12.0
        refused = served.invoke([{"app_ids": ["maps"]}, {"app_ids": []}])
        assert refused.status_code == 400
        assert "first in row 1" in refused.text


def last_line(printed: str) -> str:
    return printed.splitlines()[-1]


def save_counting_model(path: Path) -> Path:
    """A SavedModel with the encoder's app-id signature, whose logit is the number of installs."""
    import tensorflow as tf

    class CountingModel(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None), tf.string, name="app_ids"),
                tf.TensorSpec((None, None), tf.bool, name="begins_session"),
            ]
        )
        def score(self, app_ids, begins_session):
            installs = tf.reduce_sum(tf.cast(app_ids != "", tf.float32), axis=1)
            logit = installs + 10.0 * tf.reduce_sum(tf.cast(begins_session, tf.float32), axis=1)
            return {"risk_score": tf.sigmoid(logit), "logit": logit}

    model = CountingModel()
    tf.saved_model.save(model, str(path), signatures=model.score)
    return write_files(path, {"assets.extra/vocabulary.txt": b"maps\nchat\n"})


class Served:
    """A model server, started as a data scientist starts it: `mlflow models serve`."""

    def __init__(self, cluster, model_uri: str, log: Path) -> None:
        self.url = f"http://127.0.0.1:{closed_port()}"
        self.model_uri = model_uri
        self.log = log
        self.tracking_uri = cluster.mlflow_uri

    def __enter__(self) -> "Served":
        # The scoring server is started by name, so the environment's programs have to be on the path.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        port = self.url.rsplit(":", 1)[1]
        arguments = ["-m", self.model_uri, "--env-manager", "local", "--host", "127.0.0.1", "--port", port]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).parent / "mlflow", "models", "serve", *arguments],
                env={**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": self.tracking_uri},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait()
        return self

    def wait(self, seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                requests.get(f"{self.url}/ping", timeout=5).raise_for_status()
                return
            except requests.RequestException:
                time.sleep(1)
        self.stop()
        pytest.fail(f"mlflow models serve did not start: {self.log.read_text()[-2000:]}")

    def invoke(self, records: list[dict[str, list[str]]]) -> requests.Response:
        return requests.post(f"{self.url}/invocations", json={"dataframe_records": records}, timeout=60)

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
            self.process.wait(30)

    def __exit__(self, *_: object) -> None:
        self.stop()

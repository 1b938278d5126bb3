"""The few HDFS operations that the store needs, with short retries and named errors.

In   absolute HDFS paths, a ready `hdfs.Client`
Out  plain values; ModelRegistryError instead of the client's and requests' own errors
"""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar
from urllib.parse import urlsplit

import hdfs
import requests
import tenacity

from model_registry.errors import (
    DataNodeDownError,
    HdfsSafeModeError,
    InvalidModelFolderError,
    ModelFolderMissingError,
    ModelRegistryError,
    NoDataNodeError,
    NoSpaceError,
    NoTicketError,
    PermissionDeniedError,
    RemoteRequestError,
    ServiceDownError,
    TicketRefusedError,
    UntrustedCertificateError,
    VersionExistsError,
    WebHdfsDownError,
)
from model_registry.hashing import CHUNK_BYTES, chunks_sha256
from settings import HdfsLogin

FOLDER_PERMISSION = "755"  # executors of any user read models; only the pusher writes
FILE_PERMISSION = "644"

# A dead host is noticed in seconds; a busy DataNode may take a while to acknowledge a large file.
TIMEOUT_SECONDS = (5, 60)  # to connect, to wait for bytes
LONGEST_REASON = 500  # characters: a web server that is no NameNode answers with a page

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 3
# A NameNode sends requests to a dead DataNode, too, until heartbeats are missing: 30 s by Hadoop's default.
DATANODE_SECONDS = 45


def is_given_up(state: tenacity.RetryCallState) -> bool:
    """Whether to stop: after three attempts; if only a DataNode is away, once the NameNode must know it."""
    error = state.outcome.exception() if state.outcome else None
    waited = state.seconds_since_start or 0.0
    return state.attempt_number >= ATTEMPTS and not (
        isinstance(error, DataNodeDownError) and waited < DATANODE_SECONDS
    )


# For a restarted NameNode or a dropped connection; for longer outages the scheduler retries the task.
retry_briefly = tenacity.retry(
    retry=tenacity.retry_if_exception_type((WebHdfsDownError, DataNodeDownError)),
    stop=is_given_up,
    wait=tenacity.wait_exponential(multiplier=0.5, max=4),  # seconds
    reraise=True,
)

Operation: TypeAlias = Callable[Concatenate["WebHdfs", str, P], R]


class Session(requests.Session):
    """A session that trusts its own authorities, also where REQUESTS_CA_BUNDLE names others."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        own = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, own, cert)


def webhdfs_client(url: str, user: str, login: HdfsLogin | None = None) -> hdfs.Client:
    """Build the client of everything here that talks to WebHDFS.

    Args:
        url: http:// or https:// address of the NameNode; of an HA pair both, with a semicolon between.
        user: whom HDFS takes this process for; with Kerberos it is the principal's user instead.
        login: by default as RISK_KERBEROS_PRINCIPAL, RISK_KERBEROS_KEYTAB and RISK_CA_FILE say.
    """
    login = login or HdfsLogin()
    session = Session()
    if login.ca_file:
        session.verify = str(login.ca_file)
    if login.kerberos_keytab:
        from model_registry.store.kerberos import keytab_login

        session.auth = keytab_login(login.kerberos_principal, login.kerberos_keytab)
        return hdfs.Client(url, timeout=TIMEOUT_SECONDS, session=session)
    return hdfs.InsecureClient(url, user=user, timeout=TIMEOUT_SECONDS, session=session)


def with_named_errors(verb: str) -> Callable[[Operation[P, R]], Operation[P, R]]:
    """Turn a method's HDFS and HTTP errors into a ModelRegistryError that names `verb` and path."""

    def decorate(operation: Operation[P, R]) -> Operation[P, R]:
        @functools.wraps(operation)
        def call(self: "WebHdfs", path: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return operation(self, path, *args, **kwargs)
            except hdfs.HdfsError as error:
                raise named_error(error, f"{verb} {path}", self.client.url) from error
            except requests.exceptions.SSLError as error:
                raise untrusted(error, f"{verb} {path}", self.client.url) from error
            except requests.RequestException as error:
                raise no_answer(error, f"{verb} {path}", self.client.url) from error

        return call

    return decorate


class WebHdfs:
    """HDFS operations by WebHDFS. All are retried but `rename` and `replace`, which cannot be repeated."""

    def __init__(self, client: hdfs.Client) -> None:
        self.client = client

    @retry_briefly
    @with_named_errors("look for")
    def exists(self, path: str) -> bool:
        # Not status(strict=False): that reports every refusal as absence, also a denied permission.
        try:
            self.client.status(path)
        except hdfs.HdfsError as error:
            if error.exception == "FileNotFoundException":
                return False
            raise
        return True

    @retry_briefly
    @with_named_errors("create the folder")
    def make_folder(self, path: str) -> None:
        self.client.makedirs(path, permission=FOLDER_PERMISSION)

    @retry_briefly
    @with_named_errors("write")
    def upload_file(self, path: str, source: Path) -> None:
        """Write one file; replaces what an interrupted attempt left there."""
        with source.open("rb") as stream:
            self.client.write(path, data=stream, overwrite=True, permission=FILE_PERMISSION)

    @retry_briefly
    @with_named_errors("read")
    def download_file(self, path: str, target: Path) -> None:
        with self.client.read(path, chunk_size=CHUNK_BYTES) as chunks, target.open("wb") as stream:
            stream.writelines(chunks)

    @retry_briefly
    @with_named_errors("read")
    def file_sha256(self, path: str) -> str:
        with self.client.read(path, chunk_size=CHUNK_BYTES) as chunks:
            return chunks_sha256(chunks)

    @retry_briefly
    @with_named_errors("list")
    def list_files(self, path: str) -> list[str]:
        """Relative paths of all files below the folder `path`.

        Raises:
            InvalidModelFolderError: a name in it would lead out of its folder.
        """
        files = []
        for parent, folders, names in self.client.walk(path):
            for name in (*folders, *names):  # before `walk` enters any of the folders
                _check_name(name, parent)
            files += [f"{parent}/{name}"[len(path) + 1 :] for name in names]
        return files

    @retry_briefly
    @with_named_errors("list")
    def list_folders(self, path: str) -> dict[str, datetime]:
        """Name of each folder directly below `path`, and the moment (UTC) of the last change directly in it.

        Raises:
            InvalidModelFolderError: a name would lead out of `path`.
        """
        entries = self.client.list(path, status=True)
        folders = {name: status for name, status in entries if status["type"] == "DIRECTORY"}
        for name in folders:
            _check_name(name, path)
        return {
            name: datetime.fromtimestamp(status["modificationTime"] / 1000, UTC)
            for name, status in folders.items()
        }

    @retry_briefly
    @with_named_errors("list")
    def list_entries(self, path: str) -> list[tuple[str, dict[str, Any]]]:
        """Names directly below the folder `path`, each with WebHDFS's FileStatus.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        with missing_as_builtin(path):
            entries: list[tuple[str, dict[str, Any]]] = self.client.list(path, status=True)
        return entries

    @retry_briefly
    @with_named_errors("read")
    def read_text(self, path: str) -> str:
        """Read a small file of UTF-8 text whole.

        Raises:
            FileNotFoundError: there is no such file.
        """
        # In chunks: `requests` gives its own error if the connection is lost then, and urllib3's otherwise.
        with missing_as_builtin(path), self.client.read(path, chunk_size=CHUNK_BYTES) as chunks:
            return b"".join(chunks).decode()

    @with_named_errors("rename")
    def rename(self, path: str, target: str) -> None:
        """Move the folder `path` to `target` in one step.

        Raises:
            VersionExistsError: `target` exists, even as an empty folder.
        """
        # Client.rename would move `path` *into* an existing target. With rename options the NameNode
        # uses its newer rename, which refuses one, under its own lock.
        self.client._rename(path, destination=target, renameoptions="NONE")

    @with_named_errors("rename")
    def replace(self, path: str, target: str) -> None:
        """Move the file `path` to `target` in one step, over a file that is there."""
        self.client._rename(path, destination=target, renameoptions="OVERWRITE")

    @retry_briefly
    @with_named_errors("delete")
    def remove_folder(self, path: str) -> None:
        """Delete `path` and all below it; no error if it does not exist."""
        self.client.delete(path, recursive=True)


@contextmanager
def missing_as_builtin(path: str) -> Iterator[None]:
    """Turn what HDFS answers about a path that does not exist into FileNotFoundError."""
    try:
        yield
    except hdfs.HdfsError as error:
        if error.exception == "FileNotFoundException":
            raise FileNotFoundError(path) from error
        raise


def _check_name(name: str, parent: str) -> None:
    """HDFS allows no such names; a server that sends them would make a pull write outside of its folder."""
    if name in ("", ".", "..") or "/" in name:
        raise InvalidModelFolderError(
            f"names of files in {parent}",
            f"{name!r}, which leads out of it",
            "check that the address of WebHDFS is your NameNode's",
        )


def named_error(error: hdfs.HdfsError, doing: str, url: str) -> ModelRegistryError:
    """Choose the error for what HDFS answered, by the Java exception's name or its message."""
    message = str(error.message).strip().split("\n\tat ")[0][:LONGEST_REASON]  # no Java stack
    reason = f"{error.exception}: {message}" if error.exception else message
    text = reason.lower()
    if "safe mode" in text or "safemode" in text:
        return HdfsSafeModeError(
            f"HDFS to {doing}",
            reason,
            "wait until the NameNode leaves safe mode, or see its web page for why",
        )
    if error.exception == "StandbyException":
        return webhdfs_down(reason, doing, url)
    # DataNodes that failed meanwhile are excluded; where none is, the rest has no room.
    if "failed to find datanode" in text or re.search(r"are 0 datanode|and \d+ node\(s\) are excluded", text):
        return NoDataNodeError(
            f"a live DataNode with room to {doing}",
            reason,
            "see the NameNode's web page for live DataNodes and free space",
        )
    if "quota" in text or "could only be written to 0" in text or "no space left" in text:
        return NoSpaceError(
            f"room on HDFS to {doing}", reason, "free space or raise the quota of the folder, then repeat"
        )
    if "gssexception" in text:
        return TicketRefusedError(
            f"HDFS to take this process's ticket, to {doing}",
            reason,
            "see the NameNode's log for the same moment",
        )
    if text.startswith("authentication failure"):  # the client's words for status 401
        return NoTicketError(
            f"a log-in to {doing}",
            "HDFS asks for Kerberos, and this process has none",
            "set RISK_KERBEROS_PRINCIPAL and RISK_KERBEROS_KEYTAB",
        )
    if error.exception in ("AccessControlException", "AuthorizationException") or "authentication" in text:
        return PermissionDeniedError(
            f"permission to {doing}", reason, "let the owner of the folder grant it, or set another HDFS user"
        )
    if error.exception == "FileAlreadyExistsException":
        return VersionExistsError(
            f"nothing yet at the target, to {doing}",
            reason,
            "keep it: versions are immutable; verify it instead",
        )
    if error.exception == "FileNotFoundException":
        return ModelFolderMissingError(f"HDFS to {doing}", reason, "push the version again")
    return RemoteRequestError(
        f"HDFS at {url} to {doing}", reason, "check that this is a NameNode's HTTP address, and its log"
    )


def no_answer(error: requests.RequestException, doing: str, url: str) -> ServiceDownError:
    """Choose the error by who did not answer: a NameNode, or the DataNode to which it sent the request."""
    found = f"{type(error).__name__}: {error}"
    asked = urlsplit(error.request.url).netloc if error.request is not None and error.request.url else ""
    if asked in ("", *(urlsplit(namenode).netloc for namenode in url.split(";"))):
        return webhdfs_down(found, doing, url)
    return DataNodeDownError(
        f"the DataNode at {asked} to {doing}",
        found,
        "start it; the NameNode chooses another one after some missed heartbeats",
    )


def untrusted(error: requests.exceptions.SSLError, doing: str, url: str) -> ModelRegistryError:
    """Choose the error for a TLS connection that failed: over its certificate, or for another reason."""
    found = f"{type(error).__name__}: {error}"
    if "CERTIFICATE_VERIFY_FAILED" not in found:
        return webhdfs_down(found, doing, url)
    return UntrustedCertificateError(
        f"a trusted certificate for the host in the address, to {doing}",
        found,
        "set RISK_CA_FILE to the certificate of the authority that signed it, or call the host by its name there",
    )


def webhdfs_down(found: str, doing: str, url: str) -> WebHdfsDownError:
    return WebHdfsDownError(
        f"WebHDFS at {url}, an active NameNode and its DataNodes, to {doing}",
        found,
        "start the service that is named here, or correct the address of WebHDFS, then repeat",
    )

"""SavedModel folders on HDFS: MLflow knows the versions, this store holds their bytes.

In   a local SavedModel folder and its ModelVersion
Out  hdfs://127.0.0.1:8020/models/risk_encoder/risk_encoder-v3-0123456789ab, whole or absent, immutable,
     and beside it, once the version was promoted, its signature risk_encoder-v3-0123456789ab.sig

A push uploads to `<root>/<name>/_staging/<dirname>.<random>`, reads everything back, and renames.
"""

import contextlib
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import hdfs

from model_registry.errors import (
    ModelFolderMissingError,
    ModelRegistryError,
    ServiceDownError,
    VersionExistsError,
)
from model_registry.hashing import hash_mismatch, manifest_sha256, relative_files, verify_folder
from model_registry.signing import SUFFIX
from model_registry.store.webhdfs import WebHdfs
from model_registry.versions import ModelVersion, PinnedModel

# A folder below `_staging` that did not change for so long belongs to a push that was killed.
ABANDONED_AFTER = timedelta(days=1)


class ModelStore:
    """Model folders below `root`, by WebHDFS.

    `hdfs_url`, such as hdfs://127.0.0.1:8020, is Spark's name for the same file system.
    """

    def __init__(self, client: hdfs.Client, root: str, hdfs_url: str) -> None:
        self._hdfs = WebHdfs(client)
        self._root = root.rstrip("/")
        self._hdfs_url = hdfs_url.rstrip("/")

    def path(self, model: ModelVersion) -> str:
        return f"{self._root}/{model.name}/{model.dirname}"

    def pinned(self, model: ModelVersion) -> PinnedModel:
        """Join `model` with its uri in this store, whether or not its folder exists yet."""
        return PinnedModel(model.name, model.version, model.sha256, self._hdfs_url + self.path(model))

    def exists(self, model: ModelVersion) -> bool:
        return self._hdfs.exists(self.path(model))

    def push(self, local_dir: Path, model: ModelVersion) -> str:
        """Upload under a temporary name, then rename: readers never see half a model.

        Two pushes at once upload side by side; the first rename wins.

        Returns:
            The folder's hdfs:// uri.

        Raises:
            VersionExistsError: versions are immutable.
            HashMismatchError: `local_dir`, or what arrived on HDFS, is not what was registered.
        """
        verify_folder(local_dir, model.sha256)
        if self.exists(model):
            raise self._exists_error(model)
        staging = f"{self._staging_root(model)}/{model.dirname}.{uuid.uuid4().hex}"
        try:
            self._upload(local_dir, staging)
            self._verify(staging, model.sha256)
            self._publish(staging, model)
        except ModelRegistryError as error:
            self._explain(error, model)
            raise
        finally:
            # If even this fails, a later push cleans up.
            with contextlib.suppress(ModelRegistryError):
                self._hdfs.remove_folder(staging)
        self._remove_leftovers(model)
        return self.pinned(model).uri

    def verify(self, model: ModelVersion) -> None:
        """Read every byte back and compare the folder's SHA-256.

        Raises:
            ModelFolderMissingError: the version was never pushed here, or was deleted.
            HashMismatchError: the folder holds other bytes than were registered.
        """
        self.require(model)
        self._verify(self.path(model), model.sha256)

    def require(self, model: ModelVersion) -> None:
        """Raise ModelFolderMissingError unless the folder exists; its bytes are not read."""
        if not self.exists(model):
            raise ModelFolderMissingError(
                f"the folder {self.pinned(model).uri}",
                "nothing there",
                f"python -m model_registry push --version {model.version}",
            )

    def sign(self, model: ModelVersion, signature: Path) -> None:
        """Put a signature beside the folder, in one step; it replaces an earlier one."""
        # Not below `_staging`, which is training's.
        staging = f"{self.path(model)}{SUFFIX}.{uuid.uuid4().hex}"
        try:
            self._hdfs.upload_file(staging, signature)
            self._hdfs.replace(staging, self.path(model) + SUFFIX)
        except ModelRegistryError:
            with contextlib.suppress(ModelRegistryError):
                self._hdfs.remove_folder(staging)
            raise

    def pull(self, model: ModelVersion, local_root: Path) -> Path:
        """Download to `local_root/dirname`, verified; a verified copy already there is kept.

        Raises:
            ModelFolderMissingError: the version is not on HDFS.
            HashMismatchError: the bytes on HDFS, or of the copy already there, are not the registered ones.
        """
        target = local_root / model.dirname
        if target.exists():
            verify_folder(target, model.sha256)
            return target
        self.require(model)
        local_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=local_root, prefix=".pull-") as scratch:
            copy = Path(scratch, model.dirname)
            self._download(self.path(model), copy)
            verify_folder(copy, model.sha256)
            copy.rename(target)
        return target

    def _upload(self, local_dir: Path, folder: str) -> None:
        files = relative_files(local_dir)
        # One by one, since parents that HDFS creates itself get the server's default permissions.
        for parent in sorted(
            {str(parent) for file in files for parent in PurePosixPath(folder, file).parents}
        ):
            if parent.startswith(f"{self._root}/"):
                self._hdfs.make_folder(parent)
        for file in files:
            self._hdfs.upload_file(f"{folder}/{file}", local_dir / file)

    def _download(self, folder: str, local_dir: Path) -> None:
        for file in self._hdfs.list_files(folder):
            target = local_dir / file
            target.parent.mkdir(parents=True, exist_ok=True)
            self._hdfs.download_file(f"{folder}/{file}", target)

    def _verify(self, folder: str, sha256: str) -> None:
        files = self._hdfs.list_files(folder)
        found = manifest_sha256({file: self._hdfs.file_sha256(f"{folder}/{file}") for file in files})
        if found != sha256:
            raise hash_mismatch(folder, expected=sha256, found=found)

    def _publish(self, staging: str, model: ModelVersion) -> None:
        """Rename; if the answer is lost, look whether HDFS has done it."""
        try:
            self._hdfs.rename(staging, self.path(model))
        except ServiceDownError:
            # Only this push knows the name of its staging folder. Where it is gone and the version is there,
            # this push or a faster one has put the version in place.
            if self._hdfs.exists(staging) or not self.exists(model):
                raise
            self.verify(model)

    def _explain(self, error: ModelRegistryError, model: ModelVersion) -> None:
        """Raise VersionExistsError when `error` only means that another push was faster."""
        if not isinstance(error, ServiceDownError) and self.exists(model):
            raise self._exists_error(model) from error

    def _exists_error(self, model: ModelVersion) -> VersionExistsError:
        return VersionExistsError(
            f"nothing yet at {self.pinned(model).uri}",
            "a folder, and versions are immutable",
            f"python -m model_registry verify --version {model.version}, or register a new run",
        )

    def _staging_root(self, model: ModelVersion) -> str:
        return f"{self._root}/{model.name}/_staging"

    def _remove_leftovers(self, model: ModelVersion) -> None:
        """Delete what slower pushes of this version left, and what killed pushes of any version did."""
        now = datetime.now(UTC)
        for folder, changed_at in self._hdfs.list_folders(self._staging_root(model)).items():
            if folder.startswith(f"{model.dirname}.") or now - changed_at > ABANDONED_AFTER:
                self._hdfs.remove_folder(f"{self._staging_root(model)}/{folder}")

"""Resolve once which model a run uses, so that a promotion during the run changes nothing.

In   a version number, or none for the champion of this moment
Out  {"name": "risk_encoder", "version": 3, "sha256": "0123…", "uri": "hdfs://…/risk_encoder-v3-0123456789ab"}
"""

from model_registry.errors import VersionNotPushedError
from model_registry.store.model_store import ModelStore
from model_registry.tracking.model_tracking import ModelTracking
from model_registry.versions import PinnedModel


def pin(tracking: ModelTracking, store: ModelStore, version: int | None = None) -> PinnedModel:
    """Pin `version`, or the champion. Its folder must exist; its bytes are verified where they are used.

    Raises:
        AliasMissingError: no version given, and nothing was promoted yet.
        VersionMissingError, VersionNotPushedError, ModelFolderMissingError: not ready to serve.
    """
    number = tracking.champion() if version is None else version
    pinned = pushed_here(tracking, store, number)
    store.require(pinned)
    return pinned


def pushed_here(tracking: ModelTracking, store: ModelStore, number: int) -> PinnedModel:
    """Find the pushed version, and check that its uri names this store's folder.

    Raises:
        VersionMissingError: no such version.
        VersionNotPushedError: its push has not finished, or went to another HDFS or root.
    """
    pinned = tracking.pushed(number)
    # The whole uri: the tag comes from MLflow, and jobs read the model from where it says.
    here = store.pinned(pinned).uri
    if pinned.uri != here:
        raise VersionNotPushedError(
            f"version {number} in this store, at {here}",
            f"its tag says {pinned.uri}",
            "set the address of HDFS and the root of models to those it was pushed to, or push it again: "
            "what is there already is only verified",
        )
    return pinned

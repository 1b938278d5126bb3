"""Push and promote versions: the two steps that join MLflow and HDFS.

In   a version number
Out  its folder on HDFS, tags and aliases in MLflow, and a PinnedModel that names all of it
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from model_registry.errors import VersionExistsError
from model_registry.gate import Limits, check_promotion
from model_registry.resolve import pushed_here
from model_registry.store.model_store import ModelStore
from model_registry.tracking.model_tracking import ModelTracking
from model_registry.versions import ModelVersion, PinnedModel


def push_version(tracking: ModelTracking, store: ModelStore, number: int) -> PinnedModel:
    """Copy the version's SavedModel to HDFS and record that in MLflow; repeating it is harmless.

    The next push completes an interrupted one: bytes come first, then the tag, then the alias.

    Raises:
        VersionMissingError: register it first.
        HashMismatchError: the run's artifacts, or the folder already on HDFS, are not what was registered.
    """
    model = tracking.version(number)
    if store.exists(model):
        store.verify(model)
    else:
        _push(tracking, store, model)
    pinned = store.pinned(model)
    tracking.mark_pushed(pinned)
    return pinned


def _push(tracking: ModelTracking, store: ModelStore, model: ModelVersion) -> None:
    with TemporaryDirectory(prefix="push-") as scratch:
        saved_model = tracking.download_saved_model(tracking.run_id(model.version), Path(scratch))
        try:
            store.push(saved_model, model)
        except VersionExistsError:  # another push of the same version was faster
            store.verify(model)


def promote_version(
    tracking: ModelTracking,
    store: ModelStore,
    number: int,
    limits: Limits | None = None,
    forced_by: str | None = None,
) -> PinnedModel:
    """Make the version champion, once it passed the gate and all its bytes were read back.

    Args:
        forced_by: the user that overrules the gate, if any; recorded with the objections.

    Raises:
        VersionMissingError, VersionNotPushedError: register or push it first.
        PromotionRefusedError: it is worse than the champion, or was not compared with it.
        ModelFolderMissingError, HashMismatchError: HDFS does not hold what was registered.
    """
    pinned = pushed_here(tracking, store, number)
    overruled = check_promotion(tracking, number, limits, force=forced_by is not None)
    store.verify(pinned)
    if forced_by is not None and overruled:
        tracking.mark_forced(number, forced_by, overruled)
    tracking.mark_champion(number)
    return pinned

"""Push and promote versions: the two steps that join MLflow and HDFS.

In   a version number
Out  its folder on HDFS, tags and aliases in MLflow, once promoted a signature; a PinnedModel that names it
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from model_registry.errors import RunWithoutModelError, VersionExistsError
from model_registry.gate import Limits, check_promotion
from model_registry.resolve import pushed_here
from model_registry.signing import sign_folder
from model_registry.store.model_store import ModelStore
from model_registry.tracking.model_tracking import ModelTracking
from model_registry.versions import ModelVersion, PinnedModel


@dataclass(frozen=True)
class Approval:
    """A person's decision to promote a version."""

    by: str
    signing_key: Path  # PEM file of the private key, which exists only where people promote
    is_forced: bool = False  # whatever the gate objects; recorded with the objections


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
    approval: Approval,
    limits: Limits | None = None,
) -> PinnedModel:
    """Sign the version and make it champion, once it passed the gate and all its bytes were read back.

    Raises:
        VersionMissingError, VersionNotPushedError: register or push it first.
        PromotionRefusedError: it is worse than the champion, or was not compared with it.
        ModelFolderMissingError, HashMismatchError: HDFS does not hold what was registered.
        SigningKeyError: there is no private key here.
    """
    pinned = pushed_here(tracking, store, number)
    overruled = check_promotion(tracking, number, limits, force=approval.is_forced)
    with TemporaryDirectory(prefix="promote-") as scratch:
        folder = store.pull(pinned, Path(scratch))
        signature = sign_folder(folder, approval.signing_key)
        store.sign(pinned, signature)
        _sign_run(tracking, pinned, signature, approval.signing_key)
    tracking.mark_promoted(number, approval.by, overruled)
    tracking.mark_champion(number)
    return pinned


def _sign_run(tracking: ModelTracking, model: ModelVersion, signature: Path, signing_key: Path) -> None:
    """Keep in the training run what a later training needs to start from the version: both signatures."""
    run_id = tracking.run_id(model.version)
    tracking.keep_signature(run_id, signature)
    with suppress(RunWithoutModelError):  # not by this repository's training: nothing can start from it
        encoders = tracking.download_encoders(model, signature.parent)
        tracking.keep_signature(run_id, sign_folder(encoders, signing_key))

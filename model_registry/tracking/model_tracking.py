"""Model versions in MLflow: their training runs, tags and aliases.

In   a training run with the artifact folder saved_model/ and the metrics test_auc, baseline_test_auc
Out  one model version of that run, with tags sha256 and (once pushed) hdfs_uri, its aliases;
     once promoted promoted_by, promoted_at, and forced_over where that overruled the gate
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion as MlflowVersion
from mlflow.exceptions import MlflowException

from model_registry.errors import (
    AliasMissingError,
    RunMissingError,
    RunWithoutModelError,
    VersionMissingError,
    VersionNotPushedError,
    VersionNotReadyError,
)
from model_registry.hashing import folder_sha256, verify_folder
from model_registry.model_folder import ENCODERS, ENCODERS_SHA256_TAG, SAVED_MODEL, SIGNATURES
from model_registry.tracking.comparisons import (
    CHALLENGER_SHA256_TAG,
    CHALLENGER_TAG,
    CHAMPION_SHA256_TAG,
    CHAMPION_TAG,
    COMPARISON,
    MODEL_NAME_TAG,
    PURPOSE_TAG,
    Comparison,
)
from model_registry.tracking.mlflow_errors import fail_within_a_minute, is_missing, named_mlflow_errors
from model_registry.tracking.packaging import log_pyfunc_model
from model_registry.versions import ModelVersion, PinnedModel

SHA256_TAG = "sha256"
HDFS_URI_TAG = "hdfs_uri"
CHALLENGER = "challenger"  # the newest pushed version
CHAMPION = "champion"  # the version that scores every night

READY = "READY"  # MLflow's status of a version that is made

PAGE_TAG = "mlflow.note.content"  # what MLflow shows on a run's page

PROMOTED_BY_TAG, PROMOTED_AT_TAG, FORCED_OVER_TAG = "promoted_by", "promoted_at", "forced_over"


@dataclass(frozen=True)
class VersionRow:
    """One line of `python -m model_registry list`."""

    version: int
    aliases: tuple[str, ...]
    sha256: str | None
    hdfs_uri: str | None  # None until pushed
    auc: float | None  # on held-out users, as is baseline_auc
    baseline_auc: float | None
    run_id: str
    created_at: datetime  # UTC


class ModelTracking:
    """The versions of one registered model on one MLflow server.

    Every method raises MlflowDownError, PermissionDeniedError or RemoteRequestError besides its own.
    """

    def __init__(self, tracking_uri: str, model_name: str) -> None:
        fail_within_a_minute()
        mlflow.set_tracking_uri(tracking_uri)  # the only way to give it to MLflow's logging of models
        self._client = MlflowClient(tracking_uri)
        self._uri = tracking_uri
        self.model_name = model_name

    def register(self, run_id: str) -> ModelVersion:
        """Make the run's SavedModel a model version, once: later calls return that version.

        Raises:
            RunMissingError, RunWithoutModelError: nothing to register.
        """
        if not self._versions_of_run(run_id):
            self._create_version(run_id)
        return self._keep_first(run_id)

    def download_saved_model(self, run_id: str, folder: Path) -> Path:
        """Copy the run's saved_model/ into `folder`."""
        no_run = RunMissingError(
            f"run {run_id} at {self._uri}", "no such run", "take the run id that training printed"
        )
        with named_mlflow_errors(f"read run {run_id}", self._uri, missing=no_run):
            self._client.get_run(run_id)
            artifacts = self._client.list_artifacts(run_id, SAVED_MODEL)
        if not artifacts:
            raise RunWithoutModelError(
                f"artifact folder {SAVED_MODEL}/ in run {run_id}",
                "none",
                "train again: the run did not export",
            )
        with named_mlflow_errors(f"download {SAVED_MODEL}/ of run {run_id}", self._uri):
            local = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=SAVED_MODEL, dst_path=str(folder), tracking_uri=self._uri
            )
        return Path(local)

    def download_encoders(self, model: ModelVersion, folder: Path) -> Path:
        """Copy the encoders of the version's run into `folder`, as the folder that is signed.

        Raises:
            RunWithoutModelError: the run has none.
            HashMismatchError: they are not what training has logged.
        """
        run_id = self.run_id(model.version)
        with named_mlflow_errors(f"download {ENCODERS}/ of run {run_id}", self._uri):
            if not self._client.list_artifacts(run_id, ENCODERS):
                raise RunWithoutModelError(
                    f"artifact folder {ENCODERS}/ in run {run_id}",
                    "none",
                    "start from a version that has them",
                )
            local = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=ENCODERS, dst_path=str(folder), tracking_uri=self._uri
            )
            recorded = self._client.get_run(run_id).data.tags.get(ENCODERS_SHA256_TAG, "that was recorded")
        verify_folder(local, recorded)
        return Path(local).rename(folder / f"{model.dirname}-{ENCODERS}")

    def keep_signature(self, run_id: str, signature: Path) -> None:
        """Keep a signature with the run, for trainings that start from its version."""
        with named_mlflow_errors(f"keep a signature in run {run_id}", self._uri):
            self._client.log_artifact(run_id, str(signature), SIGNATURES)

    def download_signatures(self, run_id: str, folder: Path) -> None:
        """Copy the run's signatures into `folder`; a version that nobody has promoted has none."""
        with named_mlflow_errors(f"download {SIGNATURES}/ of run {run_id}", self._uri):
            for signature in self._client.list_artifacts(run_id, SIGNATURES):
                local = mlflow.artifacts.download_artifacts(
                    run_id=run_id, artifact_path=signature.path, dst_path=str(folder), tracking_uri=self._uri
                )
                Path(local).rename(folder / Path(local).name)

    def version(self, number: int) -> ModelVersion:
        """Identity of a registered version.

        Raises:
            VersionMissingError: no such version, or not one that `register` made.
            VersionNotReadyError: MLflow has not finished to make it, or failed to.
        """
        version = self._get(number)
        if version.status != READY:
            raise VersionNotReadyError(
                f"{self.model_name} version {number} to be {READY} in MLflow",
                f"{version.status} {version.status_message or ''}".strip(),
                "wait, or delete this version and register its run again",
            )
        if SHA256_TAG not in version.tags:
            raise VersionMissingError(
                f"tag {SHA256_TAG} on {self.model_name} version {number}",
                "none: the version was made by other means",
                f"python -m model_registry register --run-id {version.run_id or 'RUN'}",
            )
        return self._identity(version)

    def run_id(self, number: int) -> str:
        """The training run of a registered version."""
        return str(self._get(number).run_id)

    def pushed(self, number: int) -> PinnedModel:
        """Identity and uri of a pushed version.

        Raises:
            VersionMissingError: no such version.
            VersionNotPushedError: its push has not finished.
        """
        model = self.version(number)
        uri = self._get(number).tags.get(HDFS_URI_TAG)
        if uri is None:
            raise VersionNotPushedError(
                f"tag {HDFS_URI_TAG} on {self.model_name} version {number}",
                "none: its push has not finished",
                f"python -m model_registry push --version {number}",
            )
        return PinnedModel(model.name, model.version, model.sha256, uri)

    def champion(self) -> int:
        """Number of the version that carries the alias now.

        Raises:
            AliasMissingError: nothing was promoted yet.
        """
        no_champion = AliasMissingError(
            f"alias {CHAMPION} on a version of model {self.model_name} at {self._uri}",
            "none",
            "python -m model_registry list, then promote --version N",
        )
        with named_mlflow_errors(f"find the {CHAMPION}", self._uri, missing=no_champion):
            return int(self._client.get_model_version_by_alias(self.model_name, CHAMPION).version)

    def mark_pushed(self, model: PinnedModel) -> None:
        """Tag the version with its uri, then make it challenger unless a newer one is."""
        number = str(model.version)
        with named_mlflow_errors(f"tag version {number}", self._uri):
            self._client.set_model_version_tag(self.model_name, number, HDFS_URI_TAG, model.uri)
            if self._aliases().get(CHALLENGER, 0) < model.version:
                self._client.set_registered_model_alias(self.model_name, CHALLENGER, number)

    def mark_champion(self, number: int) -> None:
        """Move the alias; runs that have already resolved it keep their version."""
        with named_mlflow_errors(f"make version {number} {CHAMPION}", self._uri):
            self._client.set_registered_model_alias(self.model_name, CHAMPION, str(number))

    def mark_promoted(self, number: int, person: str, objections: Sequence[str]) -> None:
        """Record on the version its last promotion: person, time, and the objections that were overruled."""
        tags = {
            PROMOTED_BY_TAG: person,
            PROMOTED_AT_TAG: datetime.now(UTC).isoformat(timespec="seconds"),
            FORCED_OVER_TAG: "; ".join(objections) or "nothing",
        }
        with named_mlflow_errors(f"tag version {number}", self._uri):
            for name, value in tags.items():
                self._client.set_model_version_tag(self.model_name, str(number), name, value)

    def latest_comparison(self, challenger: int, champion: int) -> Comparison | None:
        """Find the newest finished comparison of exactly these two versions, in any experiment.

        Their SHA-256 must match, too: numbers start again when a registered model is deleted and made anew.
        """
        tags = {
            PURPOSE_TAG: COMPARISON,
            MODEL_NAME_TAG: self.model_name,
            CHALLENGER_TAG: str(challenger),
            CHALLENGER_SHA256_TAG: self._get(challenger).tags.get(SHA256_TAG, ""),
            CHAMPION_TAG: str(champion),
            CHAMPION_SHA256_TAG: self._get(champion).tags.get(SHA256_TAG, ""),
        }
        conditions = [f"tags.{name} = '{value}'" for name, value in tags.items()]
        with named_mlflow_errors(f"find comparisons of version {challenger}", self._uri):
            runs = self._client.search_runs(
                [experiment.experiment_id for experiment in self._client.search_experiments()],
                " and ".join([*conditions, "attributes.status = 'FINISHED'"]),
                order_by=["attributes.start_time DESC"],
                max_results=1,
            )
        names = [field.name for field in fields(Comparison) if field.name != "run_id"]
        if not runs or not runs[0].data.metrics.keys() >= set(names):
            return None
        run = runs[0]
        return Comparison(run.info.run_id, **{name: run.data.metrics[name] for name in names})

    def rows(self) -> list[VersionRow]:
        """All versions, newest first."""
        with named_mlflow_errors(f"list versions of {self.model_name}", self._uri):
            versions = self._client.search_model_versions(f"name='{self.model_name}'")
            aliases = self._aliases() if versions else {}
            return [self._row(version, aliases) for version in sorted(versions, key=_number, reverse=True)]

    def _get(self, number: int) -> MlflowVersion:
        missing = VersionMissingError(
            f"{self.model_name} version {number} at {self._uri}",
            "no such version",
            "python -m model_registry list",
        )
        with named_mlflow_errors(f"read version {number}", self._uri, missing=missing):
            return self._client.get_model_version(self.model_name, str(number))

    def _versions_of_run(self, run_id: str) -> list[MlflowVersion]:
        """The versions that `register` made of the run, oldest first."""
        with named_mlflow_errors(f"find versions of run {run_id}", self._uri):
            versions = self._client.search_model_versions(f"name='{self.model_name}' and run_id='{run_id}'")
        return sorted((version for version in versions if SHA256_TAG in version.tags), key=_number)

    def _create_version(self, run_id: str) -> None:
        with TemporaryDirectory(prefix="register-") as scratch:
            saved_model = self.download_saved_model(run_id, Path(scratch))
            sha256 = folder_sha256(saved_model)
            with named_mlflow_errors(f"create a version of {self.model_name} of run {run_id}", self._uri):
                model_uri = log_pyfunc_model(run_id, self.model_name, saved_model)
                mlflow.register_model(model_uri, self.model_name, tags={SHA256_TAG: sha256})

    def _keep_first(self, run_id: str) -> ModelVersion:
        """Return the run's oldest version, with the run's page; delete later ones.

        Two calls at once both create a version. Each then sees both. So does a later call, if one of the two
        was killed before it deleted its own.
        """
        first, *later = self._versions_of_run(run_id)
        with named_mlflow_errors(f"keep one version of run {run_id}", self._uri):
            for version in later:
                if HDFS_URI_TAG not in version.tags:  # nobody can have used it yet
                    self._delete(version)
            page = self._client.get_run(run_id).data.tags.get(PAGE_TAG)
            if page is not None and not first.description:
                self._client.update_model_version(self.model_name, first.version, page)
        return self._identity(first)

    def _delete(self, version: MlflowVersion) -> None:
        try:
            self._client.delete_model_version(self.model_name, version.version)
        except MlflowException as error:
            if not is_missing(error):  # another call was faster
                raise

    def _identity(self, version: MlflowVersion) -> ModelVersion:
        return ModelVersion(self.model_name, _number(version), version.tags[SHA256_TAG])

    def _aliases(self) -> dict[str, int]:
        registered = self._client.get_registered_model(self.model_name)
        return {alias: int(number) for alias, number in registered.aliases.items()}

    def _row(self, version: MlflowVersion, aliases: dict[str, int]) -> VersionRow:
        metrics = self._metrics(version.run_id)
        return VersionRow(
            version=_number(version),
            aliases=tuple(sorted(alias for alias, number in aliases.items() if number == _number(version))),
            sha256=version.tags.get(SHA256_TAG),
            hdfs_uri=version.tags.get(HDFS_URI_TAG),
            auc=metrics.get("test_auc"),
            baseline_auc=metrics.get("baseline_test_auc"),
            run_id=version.run_id or "",
            created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        )

    def _metrics(self, run_id: str | None) -> dict[str, float]:
        """Metrics of the training run; none when the run was deleted for good."""
        if not run_id:
            return {}
        try:
            return dict(self._client.get_run(run_id).data.metrics)
        except MlflowException as error:
            if is_missing(error):
                return {}
            raise


def _number(version: MlflowVersion) -> int:
    return int(version.version)

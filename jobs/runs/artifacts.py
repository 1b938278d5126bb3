"""Read files of a training run."""

from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow

from jobs.training_set.trained_on import TRAINED_ON_FILE, TrainedOn
from model_registry.model_folder import ENCODERS


def load_trained_on(run_id: str) -> TrainedOn | None:
    """Training users of a run's version; None if the run did not record them."""
    path = f"{ENCODERS}/{TRAINED_ON_FILE}"
    artifacts = mlflow.artifacts.list_artifacts(run_id=run_id, artifact_path=ENCODERS)
    if path not in {artifact.path for artifact in artifacts}:
        return None
    with TemporaryDirectory(prefix="trained_on_") as scratch:
        return TrainedOn.read(
            Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=scratch))
        )

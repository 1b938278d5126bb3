"""Files of a training run, read again."""

from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow

from jobs.runs.names import ENCODERS
from jobs.training_set.trained_on import TRAINED_ON_FILE, TrainedOn


def load_trained_on(run_id: str) -> TrainedOn | None:
    """Whom a training run's version was trained on; None where the run does not say."""
    path = f"{ENCODERS}/{TRAINED_ON_FILE}"
    if path not in {
        one.path for one in mlflow.artifacts.list_artifacts(run_id=run_id, artifact_path=ENCODERS)
    }:
        return None
    with TemporaryDirectory(prefix="trained_on_") as scratch:
        return TrainedOn.read(
            Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=scratch))
        )

"""Names of what a training run keeps in MLflow, and reading it again.

model.keras  model.onnx  saved_model/  model_card.md  pictures/*.png  tables/*.csv
encoders/all_users.keras  encoders/fold_1.keras  …  encoders/trained_on.parquet
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow

from jobs.training_set.trained_on import TRAINED_ON_FILE, TrainedOn

MODEL_ARTIFACT = "model.keras"
MODEL_CARD = "model_card.md"
ENCODERS = "encoders"  # folder of all that a later training starts from
OF_ALL_USERS = "all_users.keras"


def of_fold(number: int | str) -> str:
    """File of a fold's encoder."""
    return f"fold_{number}.keras"


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

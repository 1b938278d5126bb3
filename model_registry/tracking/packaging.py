"""Log a SavedModel in its training run as an MLflow model that `mlflow models serve` can run.

In   run id, the run's SavedModel folder with assets.extra/vocabulary.txt
Out  a logged model in that run (uri models:/m-…): wrapper, SavedModel, signature, example, pins
"""

import importlib.metadata
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from model_registry.model_folder import SAVED_MODEL, VOCABULARY_FILE

WRAPPER = Path(__file__).with_name("pyfunc_model.py")

SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(Array(DataType.string), "app_ids"),
            ColSpec(Array(DataType.boolean), "begins_session", required=False),
        ]
    ),
    outputs=Schema([ColSpec(DataType.double, "risk_score"), ColSpec(DataType.double, "logit")]),
)


def log_pyfunc_model(run_id: str, name: str, saved_model: Path) -> str:
    """Log the wrapper and its SavedModel in the (finished) run; return the logged model's uri."""
    # Unlike pyfunc.log_model, this takes a run id: re-opening the run would change its status and end time.
    logged = Model.log(
        artifact_path=None,
        flavor=mlflow.pyfunc,
        run_id=run_id,
        name=name,
        python_model=str(WRAPPER),
        artifacts={SAVED_MODEL: str(saved_model)},
        signature=SIGNATURE,
        input_example=input_example(saved_model),
        pip_requirements=pip_requirements(),
    )
    return str(logged.model_uri)


def input_example(saved_model: Path) -> pd.DataFrame:
    """One user with the vocabulary's first two apps."""
    vocabulary = Path(saved_model, VOCABULARY_FILE).read_text(encoding="utf-8").split("\n")
    apps = [app_id for app_id in vocabulary if app_id][:2]
    return pd.DataFrame({"app_ids": [apps], "begins_session": [[True, False][: len(apps)]]})


def pip_requirements() -> list[str]:
    """The packages that scoring needs, at the versions of this environment."""
    tensorflow = "tensorflow-cpu" if _installed("tensorflow-cpu") else "tensorflow"
    packages = ("mlflow", "numpy", "pandas", tensorflow)
    return [f"{package}=={importlib.metadata.version(package)}" for package in packages]


def _installed(package: str) -> bool:
    return any(importlib.metadata.distributions(name=package))

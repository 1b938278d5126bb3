"""What one training run tells MLflow.

In   the active run, and the parts of one training
Out  parameters, data set, metrics, pictures and models of that run

    metrics    training_loss, validation_loss, validation_auc (by epoch)
               test_auc, test_pr_auc, test_log_loss, test_brier, and the same with `baseline_` before them
    artifacts  encoder.keras  saved_model/  curves/*.png
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import mlflow
from matplotlib.figure import Figure
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset

from jobs.training.dataset import Split, TrainingSet
from jobs.training.evaluate import BinaryMetrics
from jobs.training.export import export_saved_model
from jobs.training.fit import Epoch
from jobs.training.vocabulary import Vocabulary

KERAS_ARTIFACT = "encoder.keras"
SAVED_MODEL_ARTIFACT = "saved_model"


def log_training_set(training_set: TrainingSet, location: str) -> None:
    """Record table, dates and snapshot id, as the run's data set and as tags to search by."""
    facts = {name: str(value) for name, value in training_set.facts.items()}
    source = CodeDatasetSource(tags={**facts, "location": location})
    name = facts.get("table", location)
    # MLflow declares `profile` abstract and leaves it out of MetaDataset, which works all the same.
    dataset = MetaDataset(source, name=name)  # type: ignore[abstract]
    mlflow.log_input(dataset, context="training")
    mlflow.set_tags(
        {f"training_set.{name}": value for name, value in {**facts, "location": location}.items()}
    )


def log_split(split: Split) -> None:
    """Record how many users and examples each part has."""
    for name, part in (("train", split.train), ("validation", split.validation), ("test", split.test)):
        mlflow.log_params({f"{name}_users": part.users, f"{name}_examples": len(part)})


def log_epoch(epoch: Epoch) -> None:
    """Record one epoch while training goes on."""
    metrics = {name: value for name, value in asdict(epoch).items() if name != "number"}
    metrics["epoch_seconds"] = metrics.pop("seconds")
    mlflow.log_metrics(metrics, step=epoch.number)


def log_test_metrics(prefix: str, metrics: BinaryMetrics) -> None:
    """Record metrics of the held-out users, named `<prefix>auc` and so on."""
    mlflow.log_metrics({f"{prefix}{name}": value for name, value in asdict(metrics).items()})


def log_curves(figures: Mapping[str, Figure]) -> None:
    """Store the figures as `curves/<name>.png`."""
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"curves/{name}.png")


def log_models(model: keras.Model, vocabulary: Vocabulary, max_sequence_length: int) -> None:
    """Store the classifier as a Keras file, to train on, and as a SavedModel, to score with."""
    with TemporaryDirectory(prefix="export_") as scratch:
        keras_file = Path(scratch) / KERAS_ARTIFACT
        model.save(keras_file)
        mlflow.log_artifact(str(keras_file))
        saved_model = Path(scratch) / SAVED_MODEL_ARTIFACT
        export_saved_model(model, vocabulary, max_sequence_length, saved_model)
        mlflow.log_artifacts(str(saved_model), SAVED_MODEL_ARTIFACT)

"""Train the risk encoder, measure it on held-out users beside a bag-of-apps baseline, and keep all of it in MLflow.

In   training_sets/training_date=2026-01-31/run-1   one row per label: user_id, label, as_of, app_ids
Out  one MLflow run: parameters, data set, metrics by epoch and on held-out users, curves, encoder.keras, saved_model/
     last line printed: {"run_id": "3f2a…", "auc": 0.873, "baseline_auc": 0.861, "held_out_users": 4000}
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import mlflow
import numpy as np
from numpy.typing import NDArray
from typer import Option

from jobs.command import DataError, run_job
from jobs.encoder.classifier import EncoderConfig
from jobs.training import plots, tracking
from jobs.training.baseline import fit_bag_of_apps
from jobs.training.dataset import Split, TrainingSet, read_training_set, split_by_user
from jobs.training.download import local_folder
from jobs.training.evaluate import BinaryMetrics, measure, to_probabilities
from jobs.training.fit import Epoch, Fit, LabelledSequences, fit_classifier
from jobs.training.options import TrainingOptions
from jobs.training.predict import predict_logits
from jobs.training.vocabulary import Vocabulary, build_vocabulary

ENCODER = "encoder"
BASELINE = "bag of apps"


class SettingError(DataError):
    """A size or a training option that cannot work."""


@dataclass(frozen=True)
class Settings:
    """Sizes and recipe of one training."""

    encoder: EncoderConfig  # its vocabulary_size is the largest allowed, until the vocabulary is built
    options: TrainingOptions
    min_count: int


@dataclass(frozen=True)
class Trained:
    """A trained encoder with what it needs to score."""

    config: EncoderConfig
    vocabulary: Vocabulary
    fit: Fit


def train(split: Split, settings: Settings) -> Trained:
    """Build the vocabulary from training users alone, then fit the encoder."""
    vocabulary = build_vocabulary(
        split.train.app_ids, settings.min_count, max_size=settings.encoder.vocabulary_size
    )
    config = replace(settings.encoder, vocabulary_size=vocabulary.size)
    mlflow.log_params({**asdict(config), **asdict(settings.options), "min_count": settings.min_count})
    print(f"training {ENCODER} on {split.train.users:,} users, {len(vocabulary.apps):,} apps", flush=True)
    train_part, validation_part = (
        LabelledSequences(vocabulary.encode(part.app_ids, config.max_sequence_length), part.labels)
        for part in (split.train, split.validation)
    )
    fit = fit_classifier(config, settings.options, train_part, validation_part, report_epoch)
    mlflow.log_metric("best_epoch", fit.best_epoch.number)
    return Trained(config, vocabulary, fit)


def report_epoch(epoch: Epoch) -> None:
    """Tell the reader of the log, and MLflow."""
    print(
        f"epoch {epoch.number}: training loss {epoch.training_loss:.4f}, validation loss "
        f"{epoch.validation_loss:.4f}, validation AUC {epoch.validation_auc:.4f}, {epoch.seconds:.1f} s",
        flush=True,
    )
    tracking.log_epoch(epoch)


def predict_test_users(split: Split, trained: Trained) -> dict[str, NDArray[np.float64]]:
    """Probabilities of the held-out users by model, the baseline fitted on the same training users."""
    tokens = trained.vocabulary.encode(split.test.app_ids, trained.config.max_sequence_length)
    baseline = fit_bag_of_apps(split.train, split.validation)
    mlflow.log_param("baseline_c", baseline.regularisation_c)
    mlflow.log_metric("baseline_validation_auc", baseline.validation_auc)
    return {
        ENCODER: to_probabilities(predict_logits(trained.fit.model, tokens)),
        BASELINE: baseline.predict(split.test),
    }


def evaluate(split: Split, trained: Trained) -> dict[str, BinaryMetrics]:
    """Measure encoder and baseline on the held-out users, and draw their curves."""
    probabilities = predict_test_users(split, trained)
    labels = split.test.labels
    metrics = {name: measure(labels, scores) for name, scores in probabilities.items()}
    tracking.log_test_metrics("test_", metrics[ENCODER])
    tracking.log_test_metrics("baseline_test_", metrics[BASELINE])
    tracking.log_curves(
        {
            "roc": plots.draw_roc(labels, probabilities),
            "precision_recall": plots.draw_precision_recall(labels, probabilities),
            "calibration": plots.draw_calibration(labels, probabilities),
            "learning_curve": plots.draw_learning_curve(trained.fit.epochs),
        }
    )
    return metrics


def train_and_evaluate(training_set: TrainingSet, location: str, settings: Settings) -> dict[str, object]:
    """Fill the active MLflow run; return what the next task needs to know."""
    split = split_by_user(training_set.examples)
    tracking.log_training_set(training_set, location)
    tracking.log_split(split)
    trained = train(split, settings)
    metrics = evaluate(split, trained)
    for name, measured in metrics.items():
        print(f"{name} on {split.test.users:,} held-out users: {describe(measured)}", flush=True)
    tracking.log_models(trained.fit.model, trained.vocabulary, trained.config.max_sequence_length)
    return {
        "auc": metrics[ENCODER].auc,
        "baseline_auc": metrics[BASELINE].auc,
        "held_out_users": split.test.users,
    }


def describe(metrics: BinaryMetrics) -> str:
    """Write metrics in one line."""
    return ", ".join(f"{name} {value:.4f}" for name, value in asdict(metrics).items())


def main(
    training_set: Annotated[str, Option(help="Folder of build_training_set: local, or hdfs://…")],
    tracking_uri: Annotated[str, Option(help="MLflow server, such as http://127.0.0.1:5000")],
    experiment: Annotated[str, Option(help="MLflow experiment that the run belongs to")] = "risk_encoder",
    model_name: Annotated[str, Option(help="Registered model that the run is meant for")] = "risk_encoder",
    webhdfs_url: Annotated[str, Option(help="WebHDFS of an hdfs:// training set")] = "http://127.0.0.1:9870",
    seed: int = TrainingOptions.seed,
    max_sequence_length: Annotated[int, Option(help="Installs")] = EncoderConfig.max_sequence_length,
    min_count: Annotated[int, Option(help="Installs that an app needs to get a token of its own")] = 3,
    max_vocabulary_size: Annotated[int, Option(help="Tokens, the three special ones included")] = 20_000,
    hidden_dim: int = EncoderConfig.hidden_dim,
    num_layers: int = EncoderConfig.num_layers,
    num_heads: int = EncoderConfig.num_heads,
    intermediate_dim: int = EncoderConfig.intermediate_dim,
    dropout: float = EncoderConfig.dropout,
    batch_size: Annotated[int, Option(help="Examples")] = TrainingOptions.batch_size,
    learning_rate: Annotated[float, Option(help="Highest")] = TrainingOptions.learning_rate,
    warmup_epochs: float = TrainingOptions.warmup_epochs,
    max_epochs: int = TrainingOptions.max_epochs,
    patience: Annotated[int, Option(help="Epochs without a better one")] = TrainingOptions.patience,
) -> None:
    """Train the risk encoder and measure it on held-out users beside a bag-of-apps baseline."""
    try:
        settings = Settings(
            EncoderConfig(
                vocabulary_size=max_vocabulary_size,
                max_sequence_length=max_sequence_length,
                hidden_dim=hidden_dim,
                num_layers=num_layers,
                num_heads=num_heads,
                intermediate_dim=intermediate_dim,
                dropout=dropout,
            ),
            TrainingOptions(seed, batch_size, learning_rate, warmup_epochs, max_epochs, patience),
            min_count,
        )
    except ValueError as error:
        raise SettingError(str(error)) from error
    with local_folder(training_set, webhdfs_url) as folder:
        examples = read_training_set(folder)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(experiment)
    with mlflow.start_run(tags={"model_name": model_name}) as run:
        result = train_and_evaluate(examples, training_set, settings)
    print(json.dumps({"run_id": run.info.run_id, **result}), flush=True)


if __name__ == "__main__":
    run_job(main)

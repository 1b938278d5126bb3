"""Train the risk model, measure it and its baselines on held-out users, and log everything to MLflow.

In   training_sets/training_date=2026-01-31/run-1   one row per label: user_id, label, as_of, app_ids
Out  one MLflow run: parameters, data set, metrics by epoch and on held-out users with intervals, charts,
     model_card.md, model.keras, encoders/, saved_model/
     last line printed: {"run_id": "3f2a…", "auc": 0.873, "baseline_auc": 0.861, "held_out_users": 4000, …}
"""

import json
import math
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import keras
import mlflow
from pydantic import Field, model_validator

from jobs.command import run_job
from jobs.evaluation.baseline import BAG_OF_APPS_BASELINE
from jobs.evaluation.intervals import Difference
from jobs.evaluation.markdown import write_interval
from jobs.evaluation.model_card import CardSubject
from jobs.evaluation.report import Report
from jobs.runs.log import LOCATION_TAG, log_figures, log_page, log_split, log_training_set
from jobs.training import tracking
from jobs.training.curves import draw_rate_search
from jobs.training.fit.checkpoint import remove_checkpoints
from jobs.training.fit.classifier import Epoch
from jobs.training.fit.rate_finder import RateSearch
from jobs.training.measuring import MODEL, WITHOUT_ENCODER, measure_trained
from jobs.training.mlflow_run import EpochMetrics, insist, training_run
from jobs.training.recipe import find_rate, train
from jobs.training.settings import TrainingSettings
from jobs.training.stacking import Stack
from jobs.training_set.download import local_folder
from jobs.training_set.examples import TrainingSet
from jobs.training_set.reader import read_training_set
from jobs.training_set.splits import Split, leave_out_of_test, split_examples


class Arguments(TrainingSettings):
    """Train the risk model, and measure it and its baselines on held-out users."""

    training_set: str = Field(description="Folder of build_training_set: local, or hdfs://…")
    tracking_uri: str = Field(description="MLflow server, such as http://127.0.0.1:5000")
    experiment: str = Field("risk_encoder", description="MLflow experiment that the run belongs to")
    model_name: str = Field("risk_encoder", description="Registered model that the run is meant for")
    webhdfs_url: str = Field("http://127.0.0.1:9870", description="WebHDFS of an hdfs:// training set")
    test_from: date | None = Field(
        None, description="UTC day: test on labels as of then or later, not on a fifth of the users"
    )
    warm_start_version: int | None = Field(
        None, ge=1, description="Registered version whose encoder the training starts from"
    )
    public_key: str | None = Field(
        None, description="Key that this version was signed by at its promotion, as one line"
    )
    checkpoint_folder: Path | None = Field(
        None,
        description="Local folder for the training state: a killed training, started again, resumes from it "
        "and continues its MLflow run; emptied when the training has finished",
    )
    find_learning_rate: bool = Field(
        False, description="Only try learning rates, and store the chart and a suggested rate"
    )

    @model_validator(mode="after")
    def refuse_unsigned_start(self) -> Self:
        """Refuse to start from a version whose signature nobody could check."""
        if self.warm_start_version is not None and self.public_key is None:
            raise ValueError(
                "--warm-start-version needs --public-key, the key that the version was signed by"
            )
        return self


def train_and_evaluate(
    training_set: TrainingSet, arguments: Arguments, metrics: EpochMetrics
) -> dict[str, object]:
    """Fill the active MLflow run; return what the next task needs to know."""
    split = split_examples(training_set.examples, arguments.test_from)
    log_training_set(training_set, arguments.training_set)
    earlier = None
    if arguments.warm_start_version is not None and arguments.public_key is not None:
        earlier = tracking.load_earlier(
            arguments.model_name, arguments.warm_start_version, arguments.public_key
        )
        name = f"version {arguments.warm_start_version}, which the training starts from"
        split = leave_out_of_test(split, earlier.trained_on.holds(split.test), f"{name}, was trained on")
    log_split(split)
    on_epoch = partial(report_epoch, metrics)
    if arguments.find_learning_rate:
        search = find_rate(split.train, arguments, on_epoch, earlier)
        insist("log the search", lambda: log_search(search, metrics))
        return {"suggested_learning_rate": search.suggestion}
    print(f"training on {split.train.users:,} users, testing on {split.test.users:,}", flush=True)
    trained = train(split.train, arguments, on_epoch, earlier, arguments.checkpoint_folder)
    report = measure_trained(split, trained, arguments.training.seed)
    lines = describe(report, trained.stack)
    for line in lines:
        print(line, flush=True)
    run = mlflow.active_run()
    subject = CardSubject(
        model_name=arguments.model_name,
        run_id=run.info.run_id if run else "",
        parameters={
            **tracking.describe_settings(arguments),
            "started from version": arguments.warm_start_version,
            **tracking.describe_weights(trained.stack),
        },
        facts=training_set.facts,
        split_method=split.method,
        split=tracking.describe_split(split),
    )
    with TemporaryDirectory(prefix="export_") as scratch:
        models = Path(scratch)
        tracking.write_models(trained, models)

        def log_results() -> None:
            metrics.send()
            tracking.log_trained(trained)
            log_page(lines)
            tracking.log_report(report, trained)
            tracking.log_models(models)
            tracking.log_model_card(subject, report)

        insist("log the results", log_results)
    return summarize(report, split)


def log_search(search: RateSearch, metrics: EpochMetrics) -> None:
    """Record the chart of a learning-rate range test and the suggested rate."""
    metrics.send()
    log_figures({"learning_rates": draw_rate_search(search)})
    mlflow.log_metric("suggested_learning_rate", search.suggestion)


def report_epoch(metrics: EpochMetrics, part: str, epoch: Epoch) -> None:
    """Print one epoch, and record it in MLflow."""
    line = f"{part}, epoch {epoch.number}: training loss {epoch.training_loss:.4f}"
    if not math.isnan(epoch.validation_auc):
        line += f", validation loss {epoch.validation_loss:.4f}, validation AUC {epoch.validation_auc:.4f}"
    print(f"{line}, {epoch.seconds:.1f} s", flush=True)
    metrics.add(tracking.describe_epoch(part, epoch), epoch.number)


def describe(report: Report, stack: Stack) -> list[str]:
    """Lines with the members' weights, the AUC of each model, and the model's lead over the baselines."""
    weights = [
        f"{name} {weight:.2f}" if name in stack.used else f"{name} left out"
        for name, weight in stack.weights.items()
    ]
    lines = [f"{name}: AUC {write_interval(measured['auc'])}" for name, measured in report.metrics.items()]
    ahead = report.differences[report.best_baseline]["auc"]
    lift = report.differences[WITHOUT_ENCODER]["auc"]
    return [
        f"weights: {', '.join(weights)}",
        *lines,
        f"ahead of the best baseline, {report.best_baseline}: {write_difference(ahead)}",
        f"of that by the encoder: {write_difference(lift)}",
    ]


def write_difference(difference: Difference) -> str:
    """Write a difference of AUCs: `+0.0119 (+0.0103 to +0.0140) AUC, 95% interval`."""
    return f"{write_interval(difference, '+.4f')} AUC, 95% interval"


def summarize(report: Report, split: Split) -> dict[str, object]:
    """Figures for the next task and its log."""
    return {
        "auc": report.metrics[MODEL]["auc"].value,
        "baseline_auc": report.metrics[BAG_OF_APPS_BASELINE]["auc"].value,
        "best_baseline": report.best_baseline,
        "ahead": asdict(report.differences[report.best_baseline]["auc"]),
        "encoder_lift": asdict(report.differences[WITHOUT_ENCODER]["auc"]),
        "held_out_users": split.test.users,
    }


def main(arguments: Arguments) -> None:
    with local_folder(arguments.training_set, arguments.webhdfs_url) as folder:
        training_set = read_training_set(folder)
    mlflow.set_tracking_uri(arguments.tracking_uri)
    checkpoints = arguments.checkpoint_folder
    tags = {"model_name": arguments.model_name, LOCATION_TAG: arguments.training_set}
    parameters = {
        **tracking.describe_settings(arguments),
        "keras_backend": keras.backend.backend(),
        "test_from": arguments.test_from,
        "warm_start_version": arguments.warm_start_version,
    }
    with training_run(arguments.experiment, tags, parameters, checkpoints) as run_id:
        result = train_and_evaluate(training_set, arguments, EpochMetrics(run_id))
    if checkpoints is not None:
        remove_checkpoints(checkpoints)
    print(json.dumps({"run_id": run_id, **result}), flush=True)


if __name__ == "__main__":
    run_job(main, Arguments)

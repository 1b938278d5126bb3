"""Logging to the active MLflow run that trainings and comparisons share.

In   a training set, a split, figures with intervals, charts
Out  data set, tags, parameters, metrics and artifacts of the run
"""

from collections.abc import Mapping, Sequence

import mlflow
from matplotlib.figure import Figure
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset

from jobs.evaluation.intervals import Difference, Interval
from jobs.runs.names import MODEL_CARD
from jobs.training_set.examples import TrainingSet
from jobs.training_set.splits import Split
from model_registry.tracking.model_tracking import PAGE_TAG

TRAINING_SET_TAGS = "training_set."  # prefix
LOCATION_TAG = f"{TRAINING_SET_TAGS}location"


def log_training_set(
    training_set: TrainingSet, location: str, context: str = "training", digest: str | None = None
) -> None:
    """Record table, dates and snapshot id, as the run's data set and as tags to search by."""
    facts = {name: str(value) for name, value in training_set.facts.items()}
    source = CodeDatasetSource(tags={**facts, "location": location})
    name = facts.get("table", location)
    # MLflow declares `profile` abstract and MetaDataset does not implement it, but works without it.
    dataset = MetaDataset(source, name=name, digest=digest)  # type: ignore[abstract]
    mlflow.log_input(dataset, context=context)
    mlflow.set_tags(
        {**{f"{TRAINING_SET_TAGS}{name}": value for name, value in facts.items()}, LOCATION_TAG: location}
    )


def log_split(split: Split) -> None:
    """Record the numbers of users and examples of each part."""
    for name, part in (("train", split.train), ("test", split.test)):
        mlflow.log_params({f"{name}_users": part.users, f"{name}_examples": len(part)})


def log_intervals(prefix: str, measured: Mapping[str, Interval]) -> None:
    """Record `<prefix>auc`, `<prefix>auc_low`, `<prefix>auc_high`; of differences also `_share_better`."""
    figures: dict[str, float] = {}
    for name, interval in measured.items():
        metric = f"{prefix}{name}"
        figures |= {metric: interval.value, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
        if isinstance(interval, Difference):
            figures[f"{metric}_share_better"] = interval.share_better
    mlflow.log_metrics(figures)


def log_figures(figures: Mapping[str, Figure]) -> None:
    """Store the charts as `pictures/<name>.png`."""
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"pictures/{name}.png")


def log_page(lines: Sequence[str]) -> None:
    """Set the run's page to these lines and a link to the model card; the run's versions show them too."""
    run = mlflow.active_run()
    card = f"[Model card](get-artifact?path={MODEL_CARD}&run_uuid={run.info.run_id if run else ''})"
    mlflow.set_tag(PAGE_TAG, "\n".join(f"- {line}" for line in (*lines, card)))

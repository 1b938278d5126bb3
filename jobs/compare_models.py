"""Compare registered versions, and the bag-of-apps baseline, on the same held-out users.

In   training_sets/training_date=2026-01-31/run-1   its test users, less those that a version was trained on
     versions 4 (challenger) and 3 (champion)       their SavedModels from MLflow, verified by SHA-256
Out  one MLflow run that `python -m model_registry promote` asks for; its page holds the verdict, the
     difference with its interval, and the slices in which the challenger is worse
     last line printed: {"run_id": "3f2a…", "verdict": "better", "auc_difference": 0.0119, "sentence": "…", …}

The test users of a training set depend on its users and labels alone, neither on a seed nor on a model. Users
that a version was trained on, in this training set or in its own, are left out (jobs/comparison/holdout.py
explains why there are any). Versions are called as in nightly scoring: signature `score_token_ids`, own
vocabulary.
"""

import json
from datetime import date

import mlflow
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from jobs.command import run_job
from jobs.comparison import page
from jobs.comparison.findings import Findings
from jobs.comparison.holdout import Source, freeze_holdout
from jobs.comparison.run import log_findings, log_holdout, log_versions
from jobs.comparison.slice_differences import compare_slices
from jobs.comparison.versions import Contestant, find_contestant, score_contestant
from jobs.errors import WrongArgumentsError
from jobs.evaluation.baseline import BAG_OF_APPS_BASELINE, BASELINE_ORDERS, fit_baseline, predict_baseline
from jobs.evaluation.intervals import RESAMPLES, Bootstrap, calibration_error_by_chance
from jobs.runs.names import BAG_OF_APPS, penalty_parameter
from jobs.training_set.download import local_folder
from jobs.training_set.examples import Examples
from jobs.training_set.reader import read_training_set
from jobs.training_set.splits import Split, split_examples
from model_registry.errors import AliasMissingError
from model_registry.tracking.model_tracking import ModelTracking

Floats = NDArray[np.float64]


class Arguments(BaseModel):
    """Compare registered versions on the same held-out users."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training_set: str = Field(description="Folder of build_training_set: local, or hdfs://…")
    tracking_uri: str = Field(description="MLflow server, such as http://127.0.0.1:5000")
    experiment: str = Field("risk_encoder", description="MLflow experiment that the run belongs to")
    model_name: str = Field("risk_encoder", description="Registered model")
    challenger: int = Field(ge=1, description="Version that may become champion")
    champion: list[int] = Field(
        default=[],
        description="Version to beat; without it the present champion, or the baseline if there is none. "
        "Repeated: further versions",
    )
    baseline: bool = Field(True, description="Also fit the bag-of-apps baseline on the training users")
    webhdfs_url: str = Field("http://127.0.0.1:9870", description="WebHDFS of hdfs:// training sets")
    test_from: date | None = Field(
        None, description="UTC day: compare on labels as of then or later, not on a fifth of the users"
    )
    resamples: int = Field(RESAMPLES, ge=100, description="Draws of users behind each interval")
    seed: int = Field(7, ge=0, description="Seed of these draws")


def choose_opponents(arguments: Arguments, tracking: ModelTracking) -> list[int]:
    """Versions to compare with, the one to beat first; none if there is no champion yet.

    Raises:
        WrongArgumentsError: a version would be compared with itself.
    """
    if arguments.champion:
        opponents = list(dict.fromkeys(arguments.champion))
        if arguments.challenger in opponents:
            raise WrongArgumentsError(f"version {arguments.challenger} cannot be compared with itself")
        return opponents
    try:
        return [tracking.champion()]
    except AliasMissingError:
        return []


def predict_holdout(
    tracking: ModelTracking,
    contestants: list[Contestant],
    split: Split,
    holdout: Examples,
    arguments: Arguments,
) -> tuple[dict[str, Floats], Floats]:
    """Probabilities by model, and the share of each user's apps that the challenger does not know."""
    scored = {}
    for contestant in contestants:
        print(f"scoring {len(holdout):,} examples with {contestant.name}", flush=True)
        scored[contestant.name] = score_contestant(tracking, contestant, holdout.installs)
    probabilities = {name: scores.probabilities for name, scores in scored.items()}
    if arguments.baseline:
        # The penalty that was best on the held-out users of the challenger's training.
        c = float(contestants[0].params.get(penalty_parameter(BAG_OF_APPS), 1.0))
        probabilities[BAG_OF_APPS_BASELINE] = predict_by_bag_of_apps(split.train, holdout, c)
    return probabilities, scored[contestants[0].name].unknown_shares


def predict_by_bag_of_apps(train: Examples, holdout: Examples, c: float) -> Floats:
    """Probabilities of the bag-of-apps baseline alone: 3-grams would take many times as long."""
    baseline = fit_baseline(train, BASELINE_ORDERS[BAG_OF_APPS_BASELINE], c)
    return predict_baseline(baseline, holdout)


def measure_contestants(
    holdout: Examples, probabilities: dict[str, Floats], unknown_shares: Floats, arguments: Arguments
) -> Findings:
    """Measure every model, and the first one against each of the others."""
    challenger, champion, *_ = probabilities
    ours = probabilities[challenger]
    bootstrap = Bootstrap(holdout.labels, holdout.user_ids, arguments.resamples, arguments.seed)
    return Findings(
        challenger=challenger,
        champion=champion,
        title=f"the {champion}" if champion == BAG_OF_APPS_BASELINE else f"the champion, {champion}",
        probabilities=probabilities,
        metrics={name: bootstrap.metrics(scores) for name, scores in probabilities.items()},
        differences={
            name: bootstrap.difference(ours, scores)
            for name, scores in probabilities.items()
            if name != challenger
        },
        slices=compare_slices(bootstrap, holdout, ours, probabilities[champion], unknown_shares),
        ece_by_chance=calibration_error_by_chance(holdout.labels, ours, arguments.seed),
        resamples=arguments.resamples,
    )


def compare(
    tracking: ModelTracking, contestants: list[Contestant], source: Source, arguments: Arguments
) -> dict[str, object]:
    """Fill the active MLflow run; return what the next task needs to know."""
    log_versions(arguments.model_name, contestants)
    mlflow.log_params(arguments.model_dump(exclude={"tracking_uri", "webhdfs_url"}))
    split = split_examples(source.training_set.examples, arguments.test_from)
    holdout = freeze_holdout(split, source, contestants)
    log_holdout(holdout, source, split)
    for note in holdout.notes:
        print(f"note: {note}", flush=True)
    probabilities, unknown_shares = predict_holdout(tracking, contestants, split, holdout.examples, arguments)
    findings = measure_contestants(holdout.examples, probabilities, unknown_shares, arguments)
    log_findings(findings, holdout, f"test users of `{source.location}`, split {split.method}")
    sentence = page.write_verdict(findings, holdout)
    print(sentence, flush=True)
    return {
        "verdict": findings.verdict,
        "sentence": sentence,
        "challenger": contestants[0].number,
        "champion": contestants[1].number if len(contestants) > 1 else None,
        "auc_difference": findings.difference.value,
        "worse_for": findings.surely_worse_slices,
        "holdout_sha256": holdout.sha256,
    }


def main(arguments: Arguments) -> None:
    tracking = ModelTracking(arguments.tracking_uri, arguments.model_name)
    opponents = choose_opponents(arguments, tracking)
    if opponents == [arguments.challenger]:
        print(json.dumps({"run_id": None, "verdict": "champion already", "challenger": arguments.challenger}))
        return
    if not opponents and not arguments.baseline:
        raise WrongArgumentsError(
            f"version {arguments.challenger} has nothing to be compared with: there is no champion yet; "
            "give --champion, or leave out --no-baseline"
        )
    contestants = [find_contestant(tracking, number) for number in (arguments.challenger, *opponents)]
    with local_folder(arguments.training_set, arguments.webhdfs_url) as folder:
        training_set = read_training_set(folder)
    source = Source(training_set, arguments.training_set)
    mlflow.set_experiment(arguments.experiment)
    names = [contestant.name for contestant in contestants]
    if not opponents:
        names.append(BAG_OF_APPS_BASELINE)
    with mlflow.start_run(run_name=" against ".join(names)) as run:
        result = compare(tracking, contestants, source, arguments)
    print(json.dumps({"run_id": run.info.run_id, **result}), flush=True)


if __name__ == "__main__":
    run_job(main, Arguments)

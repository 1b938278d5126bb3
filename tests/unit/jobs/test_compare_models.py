"""Versions compared on one holdout: real SavedModels, and MLflow on a file."""

import json
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from sklearn.metrics import roc_auc_score

from jobs.command import parse
from jobs.compare_models import Arguments, main, predict_by_bag_of_apps
from jobs.comparison.holdout import HoldoutError, hash_rows
from jobs.errors import WrongArgumentsError
from jobs.evaluation.baseline import fit_baselines
from jobs.runs.log import log_training_set
from jobs.sequences.app_sequences import AppSequences
from jobs.training_set.examples import Examples, TrainingSet
from jobs.training_set.splits import split_by_user
from jobs.training_set.trained_on import TrainedOn
from model_registry.errors import HashMismatchError, PromotionRefusedError, VersionMissingError
from model_registry.gate import check_promotion
from model_registry.hashing import folder_sha256
from model_registry.model_folder import ENCODERS
from model_registry.tracking.model_tracking import ModelTracking
from tests.made_up.examples import APPS, FACTS, RISKY_APPS, made_up_examples, write_training_set

# Factor from risk to logit: about that of the made-up users, so that the model is as sure as they are.
SHARPNESS = 8.0


def true_risk(app_ids: list[str]) -> float:
    """Share of risky apps, later ones with more weight, as made_up_examples draws labels from it."""
    weights = np.linspace(0.0, 2.0, len(app_ids))
    return float((weights * [APPS.index(app) < RISKY_APPS for app in app_ids]).mean())


def save_model(
    folder: Path, centre: float, risky_apps: int = RISKY_APPS, upside_down_above: int = 10_000
) -> Path:
    """A SavedModel that knows how labels were made; options make it know less.

    Args:
        centre: risk of users with probability 0.5.
        risky_apps: how many of the risky apps it knows about.
        upside_down_above: installs; users with more of them get the opposite logit.
    """
    import tensorflow as tf

    class KnowingModel(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32, name="token_ids")])
        def score(self, token_ids):
            lengths = tf.reduce_sum(tf.cast(token_ids != 0, tf.float32), axis=1)
            places = tf.range(tf.shape(token_ids)[1], dtype=tf.float32)
            weights = 2.0 * places[None, :] / tf.maximum(lengths[:, None] - 1.0, 1.0)
            # Token 3 is the first app; padding, 0, is none.
            apps = tf.abs(token_ids)  # sessions do not matter
            is_risky = tf.cast((apps >= 3) & (apps < 3 + risky_apps), tf.float32)
            logit = SHARPNESS * (tf.reduce_sum(weights * is_risky, axis=1) / lengths - centre)
            logit = tf.where(lengths > upside_down_above, -logit, logit)
            return {"risk_score": tf.sigmoid(logit), "logit": logit}

    model = KnowingModel()
    tf.saved_model.save(model, str(folder), signatures={"score_token_ids": model.score})
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / "vocabulary.txt").write_text("".join(f"{app}\n" for app in APPS))
    description = {"max_history": 128, "reads_sessions": True, "vocabulary_size": len(APPS) + 3}
    (extra / "model.json").write_text(json.dumps(description))
    return folder


class Workbench:
    """A training set on disk, versions in MLflow, and comparisons of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tracking_uri = f"sqlite:///{folder}/mlflow.db"
        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.create_experiment("unit", artifact_location=(folder / "artifacts").as_uri())
        mlflow.set_experiment("unit")
        self.client = MlflowClient()
        self.examples = made_up_examples(6_000, mean_length=20.0)
        self.risk = np.array([true_risk(apps) for apps in self.examples.installs.to_lists().to_pylist()])
        self.saved_models: dict[str, Path] = {}  # by options
        self.training_set = str(folder / "training_set")
        write_training_set(self.examples, Path(self.training_set))

    def tracking(self, model_name: str) -> ModelTracking:
        return ModelTracking(self.tracking_uri, model_name)

    def add_version(
        self,
        model_name: str,
        examples: Examples | None = None,
        facts: dict[str, str] | None = None,
        says_whom: bool = True,
        **model: int,
    ) -> int:
        """Log a training run as jobs/train_encoder.py does, and register its SavedModel."""
        examples = self.examples if examples is None else examples
        saved_model = self.save_once(**model)
        with mlflow.start_run() as run:
            log_training_set(TrainingSet(examples, facts or FACTS), self.training_set)
            mlflow.log_artifacts(str(saved_model), "saved_model")
            if says_whom:
                with TemporaryDirectory() as scratch:
                    TrainedOn.of_folds(split_by_user(examples).train, []).write(Path(scratch))
                    mlflow.log_artifacts(scratch, ENCODERS)
        if not self.client.search_registered_models(f"name='{model_name}'"):
            self.client.create_registered_model(model_name)
        version = self.client.create_model_version(
            model_name,
            source=f"{run.info.artifact_uri}/saved_model",
            run_id=run.info.run_id,
            tags={"sha256": folder_sha256(saved_model)},
        )
        return int(version.version)

    def save_once(self, **model: int) -> Path:
        options = json.dumps(model)
        if options not in self.saved_models:
            folder = self.folder / f"model-{len(self.saved_models)}"
            self.saved_models[options] = save_model(folder, float(np.quantile(self.risk, 0.7)), **model)
        return self.saved_models[options]

    def arguments(self, model_name: str, challenger: int, *champions: int, **options: Any) -> Arguments:
        fixed = {
            "training_set": self.training_set,
            "tracking_uri": self.tracking_uri,
            "experiment": "unit",
            "model_name": model_name,
            "challenger": challenger,
            "champion": list(champions),
            "resamples": 100,
            "baseline": False,
        }
        return Arguments(**{**fixed, **options})


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    before = mlflow.get_tracking_uri()
    yield Workbench(tmp_path_factory.mktemp("compare"))
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def compare(bench):
    """Run the job and return its run and what it printed last."""

    def run(*arguments: Any, **options: Any) -> tuple[Run, dict[str, Any]]:
        with redirect_stdout(StringIO()) as output:
            main(bench.arguments(*arguments, **options))
        result = json.loads(output.getvalue().splitlines()[-1])
        return mlflow.get_run(result["run_id"]), result

    return run


@pytest.fixture(scope="module")
def better(bench, compare):
    """A champion that knows some risky apps, a challenger that knows all: its number, run and result."""
    champion, challenger = bench.add_version("better", risky_apps=3), bench.add_version("better")
    bench.tracking("better").mark_champion(champion)
    return challenger, *compare("better", challenger)


@pytest.fixture
def page():
    return lambda run: run.data.tags["mlflow.note.content"]


def test_a_copy_of_the_champion_is_undecided_and_may_be_promoted(bench, compare):
    champion, challenger = bench.add_version("twice"), bench.add_version("twice")
    tracking = bench.tracking("twice")
    tracking.mark_champion(champion)
    run, result = compare("twice", challenger)
    assert (result["verdict"], result["champion"], result["auc_difference"]) == ("undecided", champion, 0.0)
    metrics = run.data.metrics
    assert (metrics["auc_difference_low"], metrics["auc_difference_high"]) == (0.0, 0.0)
    assert metrics["auc_difference_share_better"] == 0.5
    assert metrics["challenger_ece"] < 0.05
    assert check_promotion(tracking, challenger) == []


def test_a_worse_challenger_is_refused_with_the_figures(bench, compare, page):
    champion, challenger = bench.add_version("worse"), bench.add_version("worse", risky_apps=3)
    tracking = bench.tracking("worse")
    tracking.mark_champion(champion)
    run, result = compare("worse", challenger)
    assert result["verdict"] == "worse"
    assert result["auc_difference"] < -0.02
    assert f"Version {challenger} is worse than the champion, version {champion}" in page(run)
    with pytest.raises(PromotionRefusedError) as refused:
        check_promotion(tracking, challenger)
    assert refused.value.retryable is False
    assert f"{result['auc_difference']:+.4f} (95% " in str(refused.value)
    assert result["run_id"] in str(refused.value)


def test_a_better_challenger_gets_this_verdict_and_may_be_promoted(bench, better):
    challenger, run, result = better
    assert result["verdict"] == run.data.tags["verdict"] == "better"
    assert run.data.metrics["auc_difference_low"] > 0.0
    assert run.data.metrics["log_loss_difference"] < 0.0
    assert run.data.metrics["log_loss_difference_share_better"] == 1.0
    assert check_promotion(bench.tracking("better"), challenger) == []


def test_the_page_names_the_slices_in_which_the_challenger_is_worse(bench, compare, page):
    champion, challenger = bench.add_version("slices"), bench.add_version("slices", upside_down_above=30)
    run, result = compare("slices", challenger, champion)
    assert "It is surely worse in the slices sequence length 31-100" in result["sentence"]
    # All users are of one month and have no unknown app: in these slices, too, but less.
    assert result["worse_for"][0] == "sequence length 31-100"
    assert set(result["worse_for"][1:]) == {"unknown apps none", "label month 2026-01"}
    assert "sequence length 11-30" not in page(run)
    slices = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/tables/slices.csv")
    assert {
        "sequence length 11-30",
        "sequence length 31-100",
        "unknown apps none",
        "label month 2026-01",
    } <= {line.split(",")[0] for line in slices.splitlines()}


def test_scores_are_those_of_the_models_on_the_test_users(bench, better):
    _, run, _ = better
    test = split_by_user(bench.examples).test
    risk = [true_risk(apps) for apps in test.installs.to_lists().to_pylist()]
    assert run.data.metrics["challenger_auc"] == pytest.approx(roc_auc_score(test.labels, risk), abs=1e-4)
    assert run.data.params["holdout_users"] == str(test.users)
    assert run.data.tags["holdout.sha256"] == hash_rows(test)
    (logged,) = run.inputs.dataset_inputs
    assert logged.dataset.digest == hash_rows(test)[:36]
    assert [tag.value for tag in logged.tags] == ["comparison"]
    assert run.data.tags["training_set.location"] == bench.training_set


def test_the_run_holds_pictures_and_the_page_shows_them(bench, better, page):
    _, run, _ = better
    logged = {Path(one.path).name for one in bench.client.list_artifacts(run.info.run_id, "pictures")}
    assert logged == {"roc.png", "calibration.png", "differences.png", "slices.png"}
    for name in logged:
        assert f"get-artifact?path=pictures%2F{name}&run_uuid={run.info.run_id}" in page(run)


def test_further_versions_and_the_baseline_are_measured_too(bench, compare, page):
    numbers = [bench.add_version("many"), bench.add_version("many", risky_apps=3), bench.add_version("many")]
    run, result = compare("many", numbers[2], numbers[1], numbers[0], baseline=True)
    assert (result["champion"], result["verdict"]) == (numbers[1], "better")
    assert run.data.metrics["version_1_auc_difference"] == 0.0
    assert run.data.metrics["bag_of_apps_baseline_auc"] > 0.6
    assert "| bag of apps baseline |" in page(run)


def test_without_a_champion_a_version_is_compared_with_the_baseline(bench, compare, page):
    challenger = bench.add_version("first")
    run, result = compare("first", challenger, baseline=True)
    assert (result["verdict"], result["champion"]) == ("better", None)
    assert f"Version {challenger} is better than the bag of apps baseline: AUC " in page(run)
    assert run.data.metrics["auc_difference"] > 0.0
    assert run.data.metrics["bag_of_apps_baseline_auc"] > 0.6
    assert "champion" not in run.data.tags
    assert check_promotion(bench.tracking("first"), challenger) == []


def test_without_a_champion_and_without_the_baseline_there_is_nothing_to_compare(bench):
    with pytest.raises(WrongArgumentsError, match="there is no champion yet"):
        main(bench.arguments("second", bench.add_version("second")))


def test_the_champion_is_not_compared_with_itself(bench, capsys):
    number = bench.add_version("alone")
    bench.tracking("alone").mark_champion(number)
    main(bench.arguments("alone", number))
    assert '"champion already"' in capsys.readouterr().out
    with pytest.raises(WrongArgumentsError, match="itself"):
        main(bench.arguments("alone", number, number))


def test_test_users_that_a_version_was_trained_on_are_left_out(bench, compare, page):
    # With half of the users, the cut by rank is at another hash.
    earlier = bench.examples.take(np.arange(3_000, 6_000))
    seen = set(split_by_user(bench.examples).test.user_ids) & set(split_by_user(earlier).train.user_ids)
    assert seen
    champion = bench.add_version("leak", earlier)
    run, _ = compare("leak", bench.add_version("leak"), champion)
    assert run.data.params["left_out_users"] == str(len(seen))
    assert f"{len(seen)} test users are left out: version {champion}, or a version" in page(run)


def test_a_version_without_recorded_training_users_is_noted_and_not_promoted(bench, compare, page):
    champion, challenger = bench.add_version("silent"), bench.add_version("silent", says_whom=False)
    tracking = bench.tracking("silent")
    tracking.mark_champion(champion)
    run, _ = compare("silent", challenger)
    assert f"version {challenger} may have been trained on some of these users" in page(run)
    with pytest.raises(PromotionRefusedError, match="may have been trained on the users"):
        check_promotion(tracking, challenger)


def test_another_training_date_or_table_is_noted(bench, compare, page):
    older = {**FACTS, "training_date": "2025-10-31"}
    champion = bench.add_version("dates", facts=older)
    run, _ = compare("dates", bench.add_version("dates"), champion)
    assert f"version {champion} was trained with training_date 2025-10-31" in page(run)
    assert "trained with table" not in page(run)


def test_versions_trained_by_user_are_compared_out_of_time_on_users_of_their_test(bench, compare):
    """Otherwise both versions would have memorised the users of four fifths of the later labels."""
    champion, challenger = bench.add_version("time"), bench.add_version("time", risky_apps=3)
    as_of = bench.examples.as_of.copy()
    as_of[3_000:] = np.datetime64("2026-02-15T00:00:00", "us")
    folder = bench.folder / "late"
    write_training_set(replace(bench.examples, as_of=as_of), folder)
    run, _ = compare("time", challenger, champion, training_set=str(folder), test_from="2026-02-01")
    of_their_test = set(split_by_user(bench.examples).test.user_ids) & set(bench.examples.user_ids[3_000:])
    assert run.data.params["holdout_users"] == str(len(of_their_test))


def test_a_holdout_of_known_users_only_is_refused(bench):
    few = split_by_user(bench.examples).train
    folder = bench.folder / "known"
    # All of these are training users of both versions.
    write_training_set(few, folder)
    numbers = [bench.add_version("known"), bench.add_version("known")]
    with pytest.raises(HoldoutError, match="in no version's training"):
        main(bench.arguments("known", *numbers, training_set=str(folder)))


def test_with_too_few_users_worse_slices_are_not_known(bench, compare, page):
    few = bench.examples.take(np.arange(100))
    write_training_set(few, bench.folder / "few")
    numbers = [bench.add_version("few", few), bench.add_version("few", few, risky_apps=3)]
    run, result = compare("few", *numbers, training_set=str(bench.folder / "few"))
    assert "No slice has 30 users" in result["sentence"]
    assert "in none of" not in page(run)


def test_artifacts_that_changed_since_registration_are_not_compared(bench):
    numbers = [bench.add_version("changed"), bench.add_version("changed")]
    run_id = bench.tracking("changed").run_id(numbers[0])
    bench.client.log_text(run_id, "another app\n", "saved_model/assets.extra/vocabulary.txt")
    with pytest.raises(HashMismatchError):
        main(bench.arguments("changed", *numbers))


def test_a_version_that_does_not_exist_is_refused_before_data_is_read(bench):
    number = bench.add_version("missing")
    with pytest.raises(VersionMissingError):
        main(bench.arguments("missing", number + 7, number, training_set="/nowhere"))


def test_the_hash_is_of_the_rows_and_not_of_their_order():
    examples = made_up_examples(50)
    assert hash_rows(examples.take(np.arange(50)[::-1])) == hash_rows(examples)
    flipped = replace(examples, labels=1 - examples.labels)
    renamed = replace(examples, user_ids=np.array([f"v{i}" for i in range(50)], dtype=object))
    shorter = replace(examples, installs=made_up_examples(50, seed=1).installs)
    apps = examples.installs.to_lists()
    every_install = np.ones(len(apps.flatten()), bool)
    paused = replace(examples, installs=AppSequences.of_lists(apps, every_install))
    assert len({hash_rows(one) for one in (examples, flipped, renamed, shorter, paused)}) == 5


def test_the_baseline_is_the_one_of_training():
    split = split_by_user(made_up_examples(200))
    expected = fit_baselines(split.train, {1: 3.0, 3: 3.0})["bag of apps baseline"]
    ours = predict_by_bag_of_apps(split.train, split.test, 3.0)
    assert ours == pytest.approx(expected.predict_proba(split.test.installs.to_lists().to_pylist())[:, 1])


def test_the_command_line_takes_several_champions():
    words = (
        "--training-set s --tracking-uri u --challenger 4 --champion 3 --champion 2 --test-from 2026-01-01"
    )
    arguments = parse(Arguments, words.split())
    assert arguments.champion == [3, 2]
    assert str(arguments.test_from) == "2026-01-01"

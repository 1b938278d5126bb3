"""The whole job, against MLflow on a file."""

import json
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sklearn.metrics import roc_auc_score

from jobs.command import parse
from jobs.errors import WrongArgumentsError
from jobs.evaluation.metrics import to_probabilities
from jobs.runs.artifacts import load_trained_on
from jobs.sequences.app_sequences import AppSequences
from jobs.train_encoder import Arguments, main
from jobs.training.held_out import HeldOut, score_held_out
from jobs.training.recipe import Trained, train
from jobs.training.settings import TrainingSettings
from jobs.training.stacking import fit_stack
from jobs.training.start.warm_start import WarmStartError
from jobs.training.tracking import load_earlier
from jobs.training_set.examples import Examples
from jobs.training_set.splits import SplitError, split_by_user
from model_registry.errors import SignatureRefusedError, UnsignedModelError
from model_registry.hashing import folder_sha256
from model_registry.signing import make_key_pair, read_public_key, sign_folder
from model_registry.tracking.model_tracking import ModelTracking
from tests.made_up.examples import APPS, FACTS, made_up_examples, write_training_set

pytestmark = pytest.mark.slow

SMALL = {
    "encoder": {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16},
    "training": {"max_epochs": 2, "batch_size": 32},
    "recipe": {"enough_held_out": 80},  # two folds of four
}


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("unit", artifact_location=(folder / "artifacts").as_uri())
    yield mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(before)


def run_main(examples: Examples, folder: Path, tracking_uri: str) -> None:
    write_training_set(examples, folder)
    main(
        Arguments(
            training_set=str(folder),
            tracking_uri=tracking_uri,
            experiment="unit",
            model_name="small",
            **SMALL,
        )
    )


@pytest.fixture(scope="module")
def printed(tracking_uri, tmp_path_factory) -> list[str]:
    """Lines that one training on two hundred users prints."""
    with redirect_stdout(StringIO()) as output:
        run_main(made_up_examples(200), tmp_path_factory.mktemp("set"), tracking_uri)
    return output.getvalue().splitlines()


@pytest.fixture(scope="module")
def result(printed) -> dict[str, Any]:
    return json.loads(printed[-1])


@pytest.fixture(scope="module")
def run(result) -> Run:
    return mlflow.get_run(result["run_id"])


def test_each_epoch_of_each_fold_prints_one_line(printed):
    for number in (1, 2):
        assert sum(line.startswith(f"fold {number} of 2, epoch ") for line in printed) == 2


def test_the_encoders_own_lift_is_printed_with_its_interval_beside_the_total(printed, result):
    ahead, lift = result["ahead"], result["encoder_lift"]
    (total_line,) = [line for line in printed if line.startswith("ahead of the best baseline")]
    (lift_line,) = [line for line in printed if line.startswith("of that by the encoder")]
    for line, difference in ((total_line, ahead), (lift_line, lift)):
        assert f"{difference['value']:+.4f} ({difference['low']:+.4f} to " in line
        assert line.endswith(" AUC, 95% interval")


def test_each_members_weight_is_printed_or_that_it_was_left_out(printed, run):
    (line,) = [line for line in printed if line.startswith("weights: ")]
    members = line.removeprefix("weights: ").split(", ")
    assert len(members) == 3
    for name, member in zip(("encoder", "bag_of_apps", "n_grams"), members, strict=True):
        weight = run.data.metrics[f"weight_{name}"]
        assert member.endswith(f" {weight:.2f}" if weight > 0 else " left out")


def test_the_last_line_holds_the_runs_metrics_on_held_out_users(result, run):
    assert run.info.status == "FINISHED"
    assert result["held_out_users"] == 40
    metrics = run.data.metrics
    assert metrics["test_auc"] == result["auc"]
    assert metrics["test_auc_low"] <= metrics["test_auc"] <= metrics["test_auc_high"]
    assert metrics["baseline_test_auc"] == result["baseline_auc"]
    for prefix in (
        "test",
        "baseline_test",
        "ngram_baseline_test",
        "without_encoder_test",
        "encoder_alone_test",
    ):
        for metric in ("auc", "gini", "ks", "pr_auc", "log_loss", "brier", "ece"):
            assert f"{prefix}_{metric}_high" in metrics


def test_the_run_holds_settings_and_results_of_the_folds(run):
    assert (
        run.data.params.items()
        >= {
            "encoder.hidden_dim": "8",
            "training.seed": "7",
            "recipe.folds": "4",
            "train_users": "160",
        }.items()
    )
    assert {"weight_encoder", "weight_bag_of_apps", "weight_n_grams"} <= set(run.data.metrics)


def test_the_run_names_its_data(run):
    (logged,) = run.inputs.dataset_inputs
    assert logged.dataset.name == "risk.install_sessions"
    assert json.loads(logged.dataset.source)["tags"].items() >= FACTS.items()
    assert run.data.tags["training_set.snapshot_id"] == FACTS["snapshot_id"]
    assert run.data.tags["model_name"] == "small"


def test_the_run_holds_models_pictures_tables_and_a_card(result, tmp_path):
    mlflow.artifacts.download_artifacts(run_id=result["run_id"], dst_path=str(tmp_path))
    pictures = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert pictures == {
        *("roc", "precision_recall", "calibration", "score_histogram", "deciles", "confusion_matrix"),
        *("slices", "differences", "confusing_users"),
        *(f"learning_curve_fold_{number}" for number in (1, 2)),
    }
    tables = {path.name for path in (tmp_path / "tables").iterdir()}
    assert tables == {"deciles.csv", "slices.csv", "classification_report.txt"}
    card = (tmp_path / "model_card.md").read_text()
    assert f"{result['auc']:.4f}" in card
    assert "2026-01-31 to 2026-01-31" in card
    page = mlflow.get_run(result["run_id"]).data.tags["mlflow.note.content"]
    assert f"model: AUC {result['auc']:.4f}" in page
    assert f"(get-artifact?path=model_card.md&run_uuid={result['run_id']})" in page
    assert keras.models.load_model(tmp_path / "model.keras").output_shape == (None,)
    encoders = {path.name for path in (tmp_path / "encoders").iterdir()}
    folds = {f"fold_{number}.keras" for number in (1, 2)}
    assert encoders == {"all_users.keras", "trained_on.parquet", *folds}
    assert keras.models.load_model(tmp_path / "encoders" / "fold_2.keras").output_shape == (None,)
    assert (tmp_path / "model.onnx").stat().st_size > 1_000
    assert "score_token_ids" in tf.saved_model.load(str(tmp_path / "saved_model")).signatures


def test_labels_of_one_kind_fail_the_run_with_the_reason(tracking_uri, tmp_path):
    examples = made_up_examples(100)
    examples.labels[:] = 0
    with pytest.raises(SplitError, match="0 examples of label 1"):
        run_main(examples, tmp_path, tracking_uri)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--encoder.num-heads", "5", "encoder num_heads must divide hidden_dim, got num_heads=5"),
        (
            "--training.batch-size",
            "0",
            r"training.batch_size Input should be greater than or equal to 1, got '?0",
        ),
        ("--recipe.folds", "many", "recipe.folds Input should be a valid integer.*got 'many'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(option, value, message):
    with pytest.raises(WrongArgumentsError, match=message):
        parse(Arguments, ["--training-set", "x", "--tracking-uri", "y", option, value])


def test_every_setting_is_an_option():
    options = ["--encoder.hidden-dim", "32", "--training.schedule", "cosine", "--test-from", "2026-02-01"]
    arguments = parse(Arguments, ["--training-set", "x", "--tracking-uri", "y", *options])
    assert arguments.encoder.hidden_dim == 32
    assert arguments.training.schedule == "cosine"
    assert str(arguments.test_from) == "2026-02-01"


@pytest.fixture(scope="module")
def ordered() -> Examples:
    """Users whose label depends on the order of two apps, among uninformative others."""
    random = np.random.default_rng(0)
    labels = (random.random(600) < 0.5).astype(np.int8)
    rows = []
    for label in labels:
        row = [f"app {i}" for i in random.integers(0, 12, 10)]
        row[2], row[7] = ("first", "second") if label else ("second", "first")
        rows.append(row)
    as_of = np.full(600, np.datetime64("2026-01-31", "us"))
    users = np.array([f"u{i}" for i in range(600)], dtype=object)
    return Examples(users, labels, as_of, AppSequences.of_lists(pa.array(rows, pa.list_(pa.string()))))


@pytest.fixture(scope="module")
def reader(ordered) -> Trained:
    """Trained on the training users of `ordered`."""
    settings = TrainingSettings(
        encoder={"hidden_dim": 16, "num_layers": 1},
        training={"max_epochs": 6, "batch_size": 16},
        recipe={"enough_held_out": 1},  # one fold of four
    )
    return train(split_by_user(ordered).train, settings, lambda *_: None)


def test_the_recipe_reads_an_order_that_no_bag_of_apps_can(ordered, reader):
    trained, split = reader, split_by_user(ordered)
    tokens = trained.tokenizer.translate(split.test.installs)
    members = trained.member_logits(tokens)
    assert roc_auc_score(split.test.labels, members["bag of apps"]) < 0.65
    assert roc_auc_score(split.test.labels, trained.stack.combine(members)) > 0.9
    model_logits = trained.model(tokens.padded(np.arange(len(tokens))), training=False)
    np.testing.assert_allclose(model_logits, trained.stack.combine(members), atol=1e-4)


def test_the_mean_probability_of_the_encoders_training_users_is_their_bad_rate(ordered, reader):
    train_set = split_by_user(ordered).train
    logits = reader.member_logits(reader.tokenizer.translate(train_set.installs))["encoder"]
    assert to_probabilities(logits).mean() == pytest.approx(train_set.labels.mean(), abs=1e-5)


def test_an_encoder_that_is_good_by_chance_gets_no_weight(monkeypatch):
    def score_by_chance(*arguments: Any) -> HeldOut:
        """The held-out users, with an encoder that is the luckiest of five who know nothing."""
        held_out = score_held_out(*arguments)
        noise = np.random.default_rng(0).normal(0.0, 0.25, (5, len(held_out.labels)))
        luckiest = max(noise, key=lambda logits: np.corrcoef(logits, held_out.labels)[0, 1])
        return replace(held_out, logits={**held_out.logits, "encoder": luckiest})

    monkeypatch.setattr("jobs.training.recipe.score_held_out", score_by_chance)
    users = made_up_examples(200)
    settings = TrainingSettings(
        encoder=SMALL["encoder"],
        training={"max_epochs": 1, "batch_size": 32},
        recipe={"folds": 2, "enough_held_out": 1},  # one fold of two
    )
    trained = train(users, settings, lambda *_: None)
    held_out = trained.held_out
    assert fit_stack(held_out.logits, held_out.labels).weights["encoder"] > 0.3  # it would have been believed
    assert trained.stack.weights["encoder"] == 0.0
    tokens = trained.tokenizer.translate(users.installs)
    logits = trained.model(tokens.padded(np.arange(len(tokens))), training=False)
    np.testing.assert_allclose(logits, trained.stack.combine(trained.member_logits(tokens)), atol=1e-4)
    assert trained.encoder not in trained.model.layers  # a night does not pay for it


def register(run_id: str, folder: Path) -> int:
    """Make the run a version of "small", without the wrapper that `model_registry register` logs."""
    saved_model = mlflow.artifacts.download_artifacts(
        run_id=run_id, artifact_path="saved_model", dst_path=str(folder / "registered")
    )
    client = mlflow.MlflowClient()
    with suppress(MlflowException):  # it exists
        client.create_registered_model("small")
    tags = {"sha256": folder_sha256(saved_model)}
    source = f"runs:/{run_id}/saved_model"
    return int(client.create_model_version("small", source, run_id, tags=tags).version)


def sign_version(version: int, folder: Path) -> str:
    """Sign the version's files in its run, as its promotion does; return the public key."""
    make_key_pair(folder / "key", folder / "key.pub")
    tracking = ModelTracking(mlflow.get_tracking_uri(), "small")
    model, run_id = tracking.version(version), tracking.run_id(version)
    saved_model = tracking.download_saved_model(run_id, folder).rename(folder / model.dirname)
    for signed in (saved_model, tracking.download_encoders(model, folder)):
        tracking.keep_signature(run_id, sign_folder(signed, folder / "key"))
    return read_public_key(folder / "key.pub")


def test_a_version_that_does_not_exist_cannot_be_started_from(tracking_uri):
    mlflow.set_tracking_uri(tracking_uri)
    with pytest.raises(WarmStartError, match="version 77 of small: expected small version 77"):
        load_earlier("small", 77, "a key")


def test_a_version_that_nobody_promoted_cannot_be_started_from(result, tracking_uri, tmp_path):
    mlflow.set_tracking_uri(tracking_uri)
    version = register(result["run_id"], tmp_path)
    with pytest.raises(UnsignedModelError, match="nobody has promoted this version"):
        load_earlier("small", version, "a key")


@pytest.mark.parametrize("damaged", ["encoders/all_users.keras", "saved_model/assets.extra/vocabulary.txt"])
def test_files_of_an_earlier_version_that_were_changed_are_not_loaded(
    result, tracking_uri, tmp_path, damaged
):
    mlflow.set_tracking_uri(tracking_uri)
    version = register(result["run_id"], tmp_path)
    key = sign_version(version, tmp_path)
    artifacts = Path(mlflow.get_run(result["run_id"]).info.artifact_uri.removeprefix("file://"))
    file = artifacts / damaged
    before = file.read_bytes()
    file.write_bytes(before + b"\n")
    # Whoever can change the files can change the hash that was recorded of them.
    if damaged.startswith("encoders"):
        encoders_sha256 = folder_sha256(artifacts / "encoders")
        mlflow.MlflowClient().set_tag(result["run_id"], "encoders.sha256", encoders_sha256)
    with pytest.raises(SignatureRefusedError, match=rf"found other bytes: {damaged.split('/', 1)[1]}"):
        load_earlier("small", version, key)
    file.write_bytes(before)
    encoders_sha256 = folder_sha256(artifacts / "encoders")
    mlflow.MlflowClient().set_tag(result["run_id"], "encoders.sha256", encoders_sha256)
    assert load_earlier("small", version, key).fold_encoders


def test_a_version_whose_run_holds_no_encoders_cannot_be_started_from(tracking_uri, result, tmp_path):
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment("unit")
    saved_model = mlflow.artifacts.download_artifacts(
        run_id=result["run_id"], artifact_path="saved_model", dst_path=str(tmp_path)
    )
    with mlflow.start_run() as run:
        mlflow.log_artifacts(saved_model, "saved_model")
    with pytest.raises(WarmStartError, match="expected artifact folder encoders/"):
        load_earlier("small", register(run.info.run_id, tmp_path), "a key")


def test_features_of_a_training_work_together_by_their_settings(result, tracking_uri, tmp_path):
    """Warm start from a version that lacks an app, pretraining, two encoders, checkpoints, a test by time."""
    version = register(result["run_id"], tmp_path)
    public_key = sign_version(version, tmp_path)
    examples = made_up_examples(200, seed=1)
    apps = ["brand new app" if app == APPS[0] else app for app in examples.installs.apps.to_pylist()]
    examples = replace(examples, installs=replace(examples.installs, apps=pa.array(apps)))
    examples.as_of[100:] = np.datetime64("2026-03-01", "us")
    write_training_set(examples, tmp_path / "set")
    settings = {
        "encoder": SMALL["encoder"],
        "training": {"max_epochs": 1, "batch_size": 32, "pretraining_epochs": 1, "schedule": "one_cycle"},
        "recipe": {"encoders": 2, "enough_held_out": 1},
    }
    arguments = Arguments(
        training_set=str(tmp_path / "set"),
        tracking_uri=tracking_uri,
        experiment="unit",
        model_name="small",
        warm_start_version=version,
        public_key=public_key,
        checkpoint_folder=tmp_path / "checkpoints",
        test_from="2026-02-01",
        **settings,
    )
    with redirect_stdout(StringIO()) as output:
        main(arguments)
    lines = output.getvalue().splitlines()
    assert any(line.startswith("pretraining, epoch 1: training loss") for line in lines)
    last = json.loads(lines[-1])
    trained_on = load_trained_on(result["run_id"])
    is_known = trained_on.holds(examples)
    assert last["held_out_users"] == np.count_nonzero(~is_known[100:]) < 100
    card = mlflow.artifacts.load_text(f"runs:/{last['run_id']}/model_card.md")
    assert f"{np.count_nonzero(is_known[100:])} test users are left out that version {version}" in card
    assert f"| started from version | {version} |" in card
    assert load_trained_on(last["run_id"]).holds(examples).sum() == np.count_nonzero(is_known[100:]) + 100
    vocabulary = mlflow.artifacts.load_text(f"runs:/{last['run_id']}/saved_model/assets.extra/vocabulary.txt")
    assert "brand new app" in vocabulary.split("\n")
    assert APPS[0] not in vocabulary.split("\n")
    assert not (tmp_path / "checkpoints").exists()  # it has finished
    encoders = mlflow.artifacts.download_artifacts(
        run_id=last["run_id"], artifact_path="encoders", dst_path=str(tmp_path / "logged")
    )
    assert mlflow.get_run(last["run_id"]).data.tags["encoders.sha256"] == folder_sha256(encoders)


def test_the_rate_finder_stores_its_picture_and_suggests_a_rate(tracking_uri, tmp_path):
    write_training_set(made_up_examples(100), tmp_path)
    with redirect_stdout(StringIO()) as output:
        main(
            Arguments(
                training_set=str(tmp_path),
                tracking_uri=tracking_uri,
                experiment="unit",
                find_learning_rate=True,
                **SMALL,
            )
        )
    result = json.loads(output.getvalue().splitlines()[-1])
    assert 0 < result["suggested_learning_rate"] < 1
    pictures = mlflow.artifacts.list_artifacts(run_id=result["run_id"], artifact_path="pictures")
    assert [picture.path for picture in pictures] == ["pictures/learning_rates.png"]

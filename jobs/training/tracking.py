"""Log one training run to MLflow.

In   the active run, and the parts of one training
Out  parameters, data set, metrics, charts and models of that run

    metrics    training_loss, validation_loss, validation_auc (by epoch: "fold_1_of_2_…", …)
               test_auc, test_auc_low, test_auc_high, … of the model, and the same after baseline_,
               ngram_baseline_, encoder_alone_ and without_encoder_; ahead_of_…_auc with _low, _high and
               _share_better
    artifacts  model.keras  model.onnx  saved_model/  model_card.md  pictures/*.png  tables/*.csv
               encoders/all_users.keras  encoders/fold_1.keras  …  encoders/trained_on.parquet
"""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import mlflow

from jobs.evaluation import plots
from jobs.evaluation.baseline import BAG_OF_APPS_BASELINE, NGRAMS_BASELINE
from jobs.evaluation.model_card import CardSubject, write_model_card
from jobs.evaluation.report import Report
from jobs.export.engine_files import write_engine_files
from jobs.runs.log import log_figures, log_intervals
from jobs.runs.names import (
    MODEL_ARTIFACT,
    MODEL_CARD,
    OF_ALL_USERS,
    of_fold,
    penalty_parameter,
    snake_case,
)
from jobs.sequences.tokenizer_files import read_tokenizer
from jobs.training.curves import draw_learning_curve
from jobs.training.fit.classifier import Epoch
from jobs.training.measuring import ENCODER_ALONE, MODEL, WITHOUT_ENCODER
from jobs.training.recipe import Trained
from jobs.training.settings import TrainingSettings
from jobs.training.stacking import Stack
from jobs.training.start.warm_start import Earlier, WarmStartError
from jobs.training_set.splits import Split
from jobs.training_set.trained_on import TRAINED_ON_FILE, TrainedOn
from model_registry.errors import MissingError
from model_registry.hashing import folder_sha256, verify_folder
from model_registry.model_folder import ENCODERS, ENCODERS_SHA256_TAG
from model_registry.signing import verify_signature
from model_registry.tracking.model_tracking import ModelTracking

# Prefix of each model's metrics.
PREFIXES = {
    MODEL: "test",
    BAG_OF_APPS_BASELINE: "baseline_test",
    NGRAMS_BASELINE: "ngram_baseline_test",
    WITHOUT_ENCODER: "without_encoder_test",
    ENCODER_ALONE: "encoder_alone_test",
}


def describe_settings(settings: TrainingSettings) -> dict[str, object]:
    """All settings by their names on the command line."""
    groups = {
        "encoder": asdict(settings.encoder),
        "training": settings.training.model_dump(),
        "recipe": asdict(settings.recipe),
    }
    return {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}


def describe_epoch(part: str, epoch: Epoch) -> dict[str, float]:
    """Metrics of one epoch during training; `part` is a fold, or all training users."""
    prefix = part.replace(" ", "_")
    return {
        f"{prefix}_{name}": value
        for name, value in asdict(epoch).items()
        if name not in ("number", "steps") and value == value  # NaN: no validation users
    }


def log_trained(trained: Trained) -> None:
    """Record vocabulary size, penalties, stacking weights, held-out AUC and the best number of steps."""
    tokenizer = trained.tokenizer
    mlflow.log_params(
        {"vocabulary_size": tokenizer.vocabulary.size, "reads_sessions": tokenizer.reads_sessions}
    )
    mlflow.log_params({penalty_parameter(name): model.c for name, model in trained.linear.items()})
    mlflow.log_metrics(
        {f"weight_{snake_case(name)}": weight for name, weight in trained.stack.weights.items()}
    )
    mlflow.log_metrics(
        {f"held_out_auc_{snake_case(name)}": auc for name, auc in trained.held_out_auc.items()}
    )
    mlflow.log_metric("best_steps", trained.held_out.best_steps)


def log_report(report: Report, trained: Trained) -> None:
    """Record metrics with their intervals, charts and tables of the held-out users."""
    for name, measured in report.metrics.items():
        log_intervals(f"{PREFIXES[name]}_", measured)
    for name, differences in report.differences.items():
        log_intervals(f"ahead_of_{snake_case(name)}_", differences)
    log_figures(
        {
            "roc": plots.draw_roc(report.labels, report.probabilities),
            "precision_recall": plots.draw_precision_recall(report.labels, report.probabilities),
            "calibration": plots.draw_calibration(report.labels, {MODEL: report.probabilities[MODEL]}),
            "score_histogram": plots.draw_score_histogram(report.labels, report.probabilities[MODEL]),
            "deciles": plots.draw_deciles(report.deciles),
            "confusion_matrix": plots.draw_confusion_matrix(
                report.classification.confusion, report.classification.threshold
            ),
            "slices": plots.draw_slices(report.slices, report.metrics[MODEL]["auc"].value),
            "differences": plots.draw_differences(
                {name: by_metric["auc"] for name, by_metric in report.differences.items()}
            ),
            "confusing_users": plots.draw_confusing_users(report.confusing),
            **{
                f"learning_curve_fold_{number}": draw_learning_curve(fit.epochs)
                for number, fit in enumerate(trained.held_out.fits, start=1)
            },
        }
    )
    for name, table in (("deciles", report.deciles), ("slices", report.slices)):
        mlflow.log_text(table.to_csv(index=False), f"tables/{name}.csv")
    mlflow.log_text(report.classification.report_text, "tables/classification_report.txt")


def load_earlier(model_name: str, version: int, public_key: str) -> Earlier:
    """Load the encoders, the vocabulary and the training users of a version that was promoted.

    Args:
        public_key: the key that the promotion has signed the files by.

    Raises:
        WarmStartError: there is no such version, or its run lacks these files.
        UnsignedModelError: nobody has promoted it.
        SignatureRefusedError: the files are not what was signed.
        HashMismatchError: the files are not what was registered.
    """
    tracking = ModelTracking(mlflow.get_tracking_uri(), model_name)
    try:
        registered = tracking.version(version)
        run_id = tracking.run_id(version)
        with TemporaryDirectory(prefix="earlier_") as scratch:
            folder = Path(scratch)
            saved_model = tracking.download_saved_model(run_id, folder).rename(folder / registered.dirname)
            encoders = tracking.download_encoders(registered, folder)
            tracking.download_signatures(run_id, folder)
            for signed in (saved_model, encoders):
                verify_signature(signed, public_key)
            verify_folder(saved_model, registered.sha256)
            return _read_earlier(saved_model, encoders)
    except MissingError as error:
        raise WarmStartError(f"cannot start from version {version} of {model_name}: {error}") from error


def _read_earlier(saved_model: Path, encoders: Path) -> Earlier:
    folds = len(list(encoders.glob(of_fold("*"))))
    # Safe mode: a Keras file may hold code, which is refused.
    of_all_users, *of_folds = (
        keras.models.load_model(encoders / name, safe_mode=True)
        for name in (OF_ALL_USERS, *(of_fold(number) for number in range(1, folds + 1)))
    )
    return Earlier(
        vocabulary=read_tokenizer(saved_model).vocabulary,
        encoder=of_all_users,
        fold_encoders=of_folds,
        trained_on=TrainedOn.read(encoders / TRAINED_ON_FILE),
    )


def write_models(trained: Trained, folder: Path) -> None:
    """Write the model as a Keras file, ONNX and SavedModel, and its encoders for later trainings."""
    trained.model.save(folder / MODEL_ARTIFACT)
    encoders = folder / ENCODERS
    encoders.mkdir()
    trained.first_encoder.save(encoders / OF_ALL_USERS)
    for number, encoder in enumerate(trained.held_out.encoders, start=1):
        encoder.save(encoders / of_fold(number))
    trained.trained_on.write(encoders)
    write_engine_files(folder / MODEL_ARTIFACT, trained.tokenizer, folder)


def log_models(folder: Path) -> None:
    """Store what `write_models` wrote, and the hash of the encoders."""
    mlflow.set_tag(ENCODERS_SHA256_TAG, folder_sha256(folder / ENCODERS))
    mlflow.log_artifacts(str(folder))


def describe_weights(stack: Stack) -> dict[str, float]:
    """Weight of each member, for the model card."""
    return {f"weight of {name}": round(weight, 4) for name, weight in stack.weights.items()}


def describe_split(split: Split) -> dict[str, dict[str, object]]:
    """Counts, bad rate and dates of each part, for the model card."""
    return {
        name: {
            "users": part.users,
            "examples": len(part),
            "bad rate": round(float(part.labels.mean()), 4),
            "labels as of": f"{part.as_of.min().astype('M8[D]')} to {part.as_of.max().astype('M8[D]')}",
        }
        for name, part in (("training", split.train), ("test", split.test))
    }


def log_model_card(subject: CardSubject, report: Report) -> None:
    """Store `model_card.md`, written from the figures of this run."""
    mlflow.log_text(write_model_card(subject, report), MODEL_CARD)

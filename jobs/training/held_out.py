"""Score training users by members that have not seen them.

In   labelled sequences and their folds
Out  logits of the held-out users by member, and what was best there: penalties, longest n-grams, epochs
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from jobs.encoder.classifier import EncoderConfig
from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.classifier import Epoch, Fit, fit_classifier, fit_for_steps
from jobs.training.fit.head_bias import fit_head_bias
from jobs.training.fit.named_weights import NamedWeights
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.predict import predict_logits
from jobs.training.linear import BAG_ORDER, CS, NGRAM_ORDERS, fit_linear
from jobs.training_set.folds import Fold

ENCODER, BAG_OF_APPS, NGRAMS = "encoder", "bag of apps", "n-grams"

Logits = NDArray[np.float64]
OnEpoch = Callable[[str, Epoch], None]


@dataclass(frozen=True)
class BestPenalty:
    """A linear model's best penalty on held-out users."""

    c: float
    auc: float
    logits: Logits


@dataclass(frozen=True)
class HeldOut:
    """What the folds found."""

    labels: NDArray[np.int8]
    logits: dict[str, Logits]  # by member, each at its best
    orders: dict[str, int]  # longest n-gram of each linear member
    cs: dict[int, float]  # best penalty of each longest n-gram that was tried
    fits: list[Fit]  # that found them, of the first seed
    best_steps: int  # after which the encoder was best; mean of the folds
    encoders: list[keras.Model]  # by fold, of the first seed: what scored it


def score_held_out(
    data: LabelledSequences,
    folds: list[Fold],
    config: EncoderConfig,
    seeds: Sequence[TrainingOptions],
    starts: Sequence[NamedWeights],
    checkpoints: Path | None,
    on_epoch: OnEpoch,
) -> HeldOut:
    """Score each fold's users by members fitted on the others.

    An encoder that was stopped while its rate was high is another one than the final encoder, whose schedule comes to its
    end: its logits all lie some way to one side, and it was the best of many on these very users. Weights learned from
    its logits would not fit. So the encoder that scores a fold is trained as the final one will be, its head's bias too;
    as many encoders as there will be, whose average is surer than each of them.

    Args:
        seeds: options of each encoder of the average; the first finds the number of steps.
        starts: what each fold's encoders start from.
    """
    labels = np.concatenate([data.labels[fold.held_out] for fold in folds])
    fits = [
        fit_classifier(
            config,
            seeds[0],
            data.take(fold.fitted),
            data.take(fold.held_out),
            partial(on_epoch, f"fold {number} of {len(folds)}"),
            initial_weights=start,
            checkpoint_folder=checkpoints / f"fold_{number}" if checkpoints else None,
        )
        for number, (fold, start) in enumerate(zip(folds, starts, strict=True), start=1)
    ]
    best_steps = round(np.mean([fit.best_steps for fit in fits]))
    encoders: list[keras.Model] = []
    encoder_logits: list[Logits] = []
    for number, (fold, start, found) in enumerate(zip(folds, starts, fits, strict=True), start=1):
        fitted = data.take(fold.fitted)
        scoring: list[keras.Model] = []
        if found.best_steps == found.epochs[-1].steps == best_steps:
            fit_head_bias(found.model, fitted)
            scoring.append(found.model)
        scoring += fit_encoders(
            best_steps,
            config,
            seeds[len(scoring) :],
            fitted,
            start,
            checkpoints,
            f"fold {number} again",
            on_epoch,
        )
        held_out = data.tokens.take(fold.held_out)
        logits = [predict_logits(encoder, held_out).astype(np.float64) for encoder in scoring]
        encoder_logits.append(np.mean(logits, axis=0))
        encoders.append(scoring[0])
    best = {
        order: choose_penalty(data, folds, config.vocabulary_size, order)
        for order in (BAG_ORDER, *NGRAM_ORDERS)
    }
    ngram_order = max(NGRAM_ORDERS, key=lambda order: best[order].auc)  # the first of equals: the shorter
    orders = {BAG_OF_APPS: BAG_ORDER, NGRAMS: ngram_order}
    return HeldOut(
        labels=labels,
        logits={
            ENCODER: np.concatenate(encoder_logits),
            **{name: best[order].logits for name, order in orders.items()},
        },
        orders=orders,
        cs={order: one.c for order, one in best.items()},
        fits=fits,
        best_steps=best_steps,
        encoders=encoders,
    )


def fit_encoders(
    steps: int,
    config: EncoderConfig,
    seeds: Sequence[TrainingOptions],
    train: LabelledSequences,
    start: NamedWeights,
    checkpoints: Path | None,
    part: str,
    on_epoch: OnEpoch,
) -> list[keras.Model]:
    """Train an encoder that scores for each seed: so many steps, a schedule that ends with them, the head's bias last."""
    encoders = []
    for options in seeds:
        name = part if len(seeds) == 1 else f"{part} seed {options.seed}"
        folder = f"{part} {options.seed}".replace(" ", "_")
        fit = fit_for_steps(
            steps,
            config,
            options,
            train,
            partial(on_epoch, name),
            initial_weights=start,
            checkpoint_folder=checkpoints / folder if checkpoints else None,
        )
        fit_head_bias(fit.model, train)
        encoders.append(fit.model)
    return encoders


def choose_penalty(
    data: LabelledSequences, folds: list[Fold], vocabulary_size: int, max_order: int
) -> BestPenalty:
    """Weaken the penalty as long as AUC over all held-out users rises."""
    labels = np.concatenate([data.labels[fold.held_out] for fold in folds])
    best = BestPenalty(c=CS[0], auc=-1.0, logits=np.zeros(len(labels)))
    for c in CS:
        logits = np.concatenate([score_fold(data, fold, vocabulary_size, max_order, c) for fold in folds])
        auc = float(roc_auc_score(labels, logits))
        if auc <= best.auc:
            break
        best = BestPenalty(c, auc, logits)
    return best


def score_fold(data: LabelledSequences, fold: Fold, vocabulary_size: int, max_order: int, c: float) -> Logits:
    """Logits of a fold's held-out users by a linear model of the others."""
    fitted = data.take(fold.fitted)
    model = fit_linear(fitted.tokens, fitted.labels, vocabulary_size, max_order, c)
    return model.predict_logits(data.tokens.take(fold.held_out))

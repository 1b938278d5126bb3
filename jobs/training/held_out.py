"""Score training users by members that have not seen them.

In   labelled sequences and their folds
Out  logits of the held-out users by member, and the best settings there: penalties, longest n-grams, steps
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from jobs.runs.names import BAG_OF_APPS, ENCODER, NGRAMS
from jobs.training.encoder_trainer import EncoderTrainer
from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.classifier import Fit
from jobs.training.fit.head_bias import fit_head_bias
from jobs.training.fit.named_weights import NamedWeights
from jobs.training.fit.predict import predict_logits
from jobs.training.linear import BAG_ORDER, CS, NGRAM_ORDERS, fit_linear
from jobs.training_set.folds import Fold

Logits = NDArray[np.float64]


@dataclass(frozen=True)
class FoldUsers:
    """Users of one fold."""

    fitted: LabelledSequences
    held_out: LabelledSequences

    @classmethod
    def of(cls, data: LabelledSequences, fold: Fold) -> "FoldUsers":
        """Take the fold's users from all training users."""
        return cls(data.take(fold.fitted), data.take(fold.held_out))


@dataclass(frozen=True)
class BestPenalty:
    """A linear model's best penalty on held-out users."""

    c: float
    auc: float
    logits: Logits


@dataclass(frozen=True)
class HeldOut:
    """Out-of-fold logits, and the settings that were best on held-out users."""

    labels: NDArray[np.int8]
    logits: dict[str, Logits]  # by member, with its best settings
    orders: dict[str, int]  # longest n-gram of each linear member
    cs: dict[int, float]  # best inverse penalty by longest n-gram, of all that were tried
    fits: list[Fit]  # one per fold, with early stopping, of the first seed
    best_steps: int  # steps of the best validation AUC, mean over the folds
    encoders: list[keras.Model]  # by fold, of the first seed: the encoder that scored it


def score_held_out(
    data: LabelledSequences, folds: list[Fold], trainer: EncoderTrainer, starts: Sequence[NamedWeights]
) -> HeldOut:
    """Score the held-out users of each fold by members that were fitted on the others.

    Args:
        starts: weights that each fold's encoders start from.
    """
    parts = [FoldUsers.of(data, fold) for fold in folds]
    fits = find_best_steps(parts, trainer, starts)
    best_steps = round(np.mean([fit.best_steps for fit in fits]))
    encoders, encoder_logits = score_by_encoders(parts, trainer, starts, fits, best_steps)
    best = {
        order: choose_penalty(data, folds, trainer.config.vocabulary_size, order)
        for order in (BAG_ORDER, *NGRAM_ORDERS)
    }
    orders = choose_linear_members(best)
    return HeldOut(
        labels=np.concatenate([part.held_out.labels for part in parts]),
        logits={ENCODER: encoder_logits, **{name: best[order].logits for name, order in orders.items()}},
        orders=orders,
        cs={order: penalty.c for order, penalty in best.items()},
        fits=fits,
        best_steps=best_steps,
        encoders=encoders,
    )


def find_best_steps(
    parts: Sequence[FoldUsers], trainer: EncoderTrainer, starts: Sequence[NamedWeights]
) -> list[Fit]:
    """Train on each fold's fitted users, with early stopping on its held-out users."""
    return [
        trainer.search(part.fitted, part.held_out, start, f"fold {number} of {len(parts)}")
        for number, (part, start) in enumerate(zip(parts, starts, strict=True), start=1)
    ]


def score_by_encoders(
    parts: Sequence[FoldUsers],
    trainer: EncoderTrainer,
    starts: Sequence[NamedWeights],
    fits: Sequence[Fit],
    best_steps: int,
) -> tuple[list[keras.Model], Logits]:
    """Train each fold's encoders, and average their logits of its held-out users.

    An encoder that was stopped while its learning rate was high differs from the final encoder, whose
    schedule runs to its end. Its logits are all shifted to one side, and it was chosen as the best of many on
    these very users. Stacking weights learned from its logits would not fit the final encoder. So the
    encoders that score a fold are trained as the final ones will be, including the bias of the head. Their
    number is also the same, since an average of several has less noise than one.

    Returns:
        The first encoder of each fold, and the logits of all held-out users in the order of the folds.
    """
    encoders, logits = [], []
    for number, (part, start, fit) in enumerate(zip(parts, starts, fits, strict=True), start=1):
        scoring: list[keras.Model] = []
        if fit.best_steps == fit.epochs[-1].steps == best_steps:  # its schedule already ran to the end
            fit_head_bias(fit.model, part.fitted)
            scoring.append(fit.model)
        scoring += trainer.train_for(best_steps, part.fitted, start, f"fold {number} again", len(scoring))
        by_encoder = [predict_logits(encoder, part.held_out.tokens).astype(np.float64) for encoder in scoring]
        logits.append(np.mean(by_encoder, axis=0))
        encoders.append(scoring[0])
    return encoders, np.concatenate(logits)


def choose_linear_members(best: Mapping[int, BestPenalty]) -> dict[str, int]:
    """Longest n-gram of each linear member: the order that ranks best, the shorter of equals."""
    return {BAG_OF_APPS: BAG_ORDER, NGRAMS: max(NGRAM_ORDERS, key=lambda order: best[order].auc)}


def choose_penalty(
    data: LabelledSequences, folds: list[Fold], vocabulary_size: int, max_order: int
) -> BestPenalty:
    """Weaken the penalty for as long as AUC over all held-out users rises."""
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
    """Logits of a fold's held-out users, from a linear model fitted on the others."""
    fitted = data.take(fold.fitted)
    model = fit_linear(fitted.tokens, fitted.labels, vocabulary_size, max_order, c)
    return model.predict_logits(data.tokens.take(fold.held_out))

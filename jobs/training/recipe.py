"""The recipe: encoder and linear models, weighed by their out-of-fold logits, then fitted on all training users.

In   training examples and settings
Out  one Keras model, token ids -> calibrated logit, and its members to measure one by one

1. The vocabulary, and apps' vectors from the company they keep, of all training users.
2. For each fold: every member is fitted on the other folds and scores this one. Validation AUC there stops the encoder's
   training and chooses the linear models' penalties.
3. Weights of at least 0 for the members' logits minimise the log loss of the held-out users. This calibrates, too.
4. Every member is fitted again on all training users, the encoder for as many epochs as were best in the folds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass
from sklearn.metrics import roc_auc_score

from jobs.encoder.classifier import EncoderConfig
from jobs.encoder.risk_model import build_risk_model
from jobs.training.app_vectors import fit_app_vectors
from jobs.training.batches import LabelledSequences, steps_per_epoch
from jobs.training.dataset import Examples
from jobs.training.evaluate import choose_threshold, to_probabilities
from jobs.training.fit import Epoch, Fit, fit_classifier
from jobs.training.folds import ENOUGH_HELD_OUT, FOLDS, Fold, make_folds
from jobs.training.linear import BAG_ORDER, CS, NGRAM_ORDERS, LinearModel, fit_linear
from jobs.training.options import TrainingOptions
from jobs.training.predict import predict_logits
from jobs.training.stacking import Stack, fit_stack
from jobs.training.token_sequences import TokenSequences
from jobs.training.vocabulary import Vocabulary, build_vocabulary

ENCODER, BAG_OF_APPS, NGRAMS = "encoder", "bag of apps", "n-grams"

Logits = NDArray[np.float64]
Report = Callable[[str, Epoch], None]


@checked_dataclass(frozen=True)
class RecipeOptions:
    """What is combined, and from how many users it is learned how."""

    min_count: int = Field(
        default=3, ge=1, description="Installs that an app needs to get a token of its own"
    )
    max_history: int = Field(
        default=2_048, ge=1, description="Installs of a user that the linear models read, the last ones"
    )
    folds: int = Field(default=FOLDS, ge=2, description="Equal parts of the training users")
    enough_held_out: int = Field(
        default=ENOUGH_HELD_OUT, ge=1, description="Held-out examples after which no further fold is trained"
    )


class Settings(BaseModel):
    """Everything that a training can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Its vocabulary_size is the largest allowed, until there is a vocabulary.
    encoder: EncoderConfig = EncoderConfig()
    training: TrainingOptions = TrainingOptions()
    recipe: RecipeOptions = RecipeOptions()


@dataclass(frozen=True)
class Trained:
    """The model, and what it is made of."""

    model: keras.Model  # token ids -> calibrated logit
    vocabulary: Vocabulary
    config: EncoderConfig
    encoder: Fit  # on all training users
    linear: dict[str, LinearModel]
    stack: Stack  # of all members
    linear_stack: Stack  # without the encoder: what there would be without it
    fold_fits: list[Fit]
    held_out_auc: dict[str, float]  # by member, of the users held out
    threshold: float  # of the probability, that tells the held-out users' labels apart best
    cs: dict[int, float]  # penalty of linear models, inverse, by longest n-gram
    max_history: int  # installs of a user that are read, the last ones

    def member_logits(self, tokens: TokenSequences) -> dict[str, Logits]:
        """Logits of each member, as fitted on all training users, `(examples,)` each."""
        encoder = predict_logits(self.encoder.model, tokens).astype(np.float64)
        linear = {name: model.predict_logits(tokens) for name, model in self.linear.items()}
        return {ENCODER: encoder, **linear}


@dataclass(frozen=True)
class HeldOut:
    """What the folds found."""

    labels: NDArray[np.int8]
    logits: dict[str, Logits]  # by member, of the best penalty each
    orders: dict[str, int]  # longest n-gram of each linear member
    cs: dict[int, float]  # best penalty of each longest n-gram that was tried
    fits: list[Fit]
    best_epochs: float  # passes over the fitted users that were best, mean of the folds


def train(examples: Examples, settings: Settings, report: Report) -> Trained:
    """Follow the recipe; `report` is told the part and the epoch whenever one ends."""
    vocabulary = build_vocabulary(
        examples.app_ids, settings.recipe.min_count, max_size=settings.encoder.vocabulary_size
    )
    config = replace(settings.encoder, vocabulary_size=vocabulary.size)
    tokens = vocabulary.encode(examples.app_ids, settings.recipe.max_history)
    data = LabelledSequences(tokens, examples.labels)
    start = initial_weights(data.tokens, config, settings.training.seed)

    folds = make_folds(examples, settings.recipe.folds, settings.recipe.enough_held_out)
    held_out = score_held_out(data, folds, config, settings.training, start, report)
    stack = fit_stack(held_out.logits, held_out.labels)
    linear_stack = fit_stack({name: held_out.logits[name] for name in held_out.orders}, held_out.labels)

    linear = {
        name: fit_linear(data.tokens, data.labels, vocabulary.size, order, (held_out.cs[order],))[0]
        for name, order in held_out.orders.items()
    }
    encoder = fit_on_all(data, held_out.best_epochs, config, settings.training, start, report)
    return Trained(
        model=join(encoder.model, linear, stack, settings.recipe.max_history),
        vocabulary=vocabulary,
        config=config,
        encoder=encoder,
        linear=linear,
        stack=stack,
        linear_stack=linear_stack,
        fold_fits=held_out.fits,
        held_out_auc={name: float(roc_auc_score(held_out.labels, z)) for name, z in held_out.logits.items()},
        threshold=choose_threshold(held_out.labels, to_probabilities(stack.combine(held_out.logits))),
        cs=held_out.cs,
        max_history=settings.recipe.max_history,
    )


def initial_weights(
    tokens: TokenSequences, config: EncoderConfig, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Embeddings that know which apps keep each other company."""
    vectors = fit_app_vectors(tokens, config.vocabulary_size, config.hidden_dim, seed)
    return {"encoder/token_embedding/embeddings": vectors}


def score_held_out(
    data: LabelledSequences,
    folds: list[Fold],
    config: EncoderConfig,
    options: TrainingOptions,
    start: Mapping[str, NDArray[np.float32]],
    report: Report,
) -> HeldOut:
    """Score each fold's users by members fitted on the others."""
    labels = np.concatenate([data.labels[fold.held_out] for fold in folds])
    fits: list[Fit] = []
    encoder_logits = []
    candidates: dict[int, list[list[Logits]]] = {order: [] for order in (BAG_ORDER, *NGRAM_ORDERS)}
    for number, fold in enumerate(folds, start=1):
        fitted, held_out = data.take(fold.fitted), data.take(fold.held_out)
        for order, by_fold in candidates.items():
            models = fit_linear(fitted.tokens, fitted.labels, config.vocabulary_size, order, CS)
            by_fold.append([model.predict_logits(held_out.tokens) for model in models])
        part = f"fold {number} of {len(folds)}"
        fit = fit_classifier(config, options, fitted, held_out, partial(report, part), initial_weights=start)
        fits.append(fit)
        encoder_logits.append(predict_logits(fit.model, held_out.tokens).astype(np.float64))
    best = {order: choose_penalty(by_fold, labels) for order, by_fold in candidates.items()}
    ngram_order = max(NGRAM_ORDERS, key=lambda order: best[order].auc)  # the first of equals: the shorter
    orders = {BAG_OF_APPS: BAG_ORDER, NGRAMS: ngram_order}
    logits = {
        ENCODER: np.concatenate(encoder_logits),
        **{name: best[order].logits for name, order in orders.items()},
    }
    passes = [
        fit.best_steps / steps_per_epoch(len(fold.fitted), options)
        for fit, fold in zip(fits, folds, strict=True)
    ]
    return HeldOut(
        labels, logits, orders, {order: one.c for order, one in best.items()}, fits, float(np.mean(passes))
    )


@dataclass(frozen=True)
class BestPenalty:
    """A linear model's best penalty on held-out users."""

    c: float
    auc: float
    logits: Logits


def choose_penalty(by_fold: list[list[Logits]], labels: NDArray[np.int8]) -> BestPenalty:
    """The penalty of the highest AUC over all held-out users; of equals the strongest."""
    joined = [np.concatenate(same_c) for same_c in zip(*by_fold, strict=True)]
    tried = [
        BestPenalty(c, float(roc_auc_score(labels, logits)), logits)
        for c, logits in zip(CS, joined, strict=True)
    ]
    return max(tried, key=lambda one: one.auc)


def fit_on_all(
    data: LabelledSequences,
    epochs: float,
    config: EncoderConfig,
    options: TrainingOptions,
    start: Mapping[str, NDArray[np.float32]],
    report: Report,
) -> Fit:
    """Train the encoder on all training users for as many passes as were best in the folds."""
    steps = max(1, round(epochs * steps_per_epoch(len(data.labels), options)))
    return fit_classifier(
        config,
        options,
        data,
        None,
        partial(report, "all training users"),
        initial_weights=start,
        stop_after_steps=steps,
    )


def join(encoder: keras.Model, linear: dict[str, LinearModel], stack: Stack, max_history: int) -> keras.Model:
    """One model of all members."""
    layers = {ENCODER: encoder, **{name: model.to_layer(layer_name(name)) for name, model in linear.items()}}
    return build_risk_model(
        [layers[name] for name in stack.weights], list(stack.weights.values()), stack.intercept, max_history
    )


def layer_name(member: str) -> str:
    """Keras names hold no spaces."""
    return member.replace(" ", "_").replace("-", "_")

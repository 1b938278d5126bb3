"""Training recipe: stack the encoder and linear models on out-of-fold logits, then fit them on all users.

In   training examples and settings
Out  one Keras model, token ids -> calibrated logit, and its members, each to be measured alone

1. Build the vocabulary, and app embeddings from co-occurrence, from all training users.
2. For each fold, fit every member on the other folds and score this one. AUC on this fold gives the encoder's
   best number of steps, and the penalties and longest n-gram of the linear models. The encoder that scores
   the fold is then trained anew for that number of steps, as in 4.
3. Fit weights of at least 0 for the members' logits, by the log loss of the held-out users. This also
   calibrates. The encoder gets a weight only if that raises the held-out likelihood enough (Schwarz
   criterion).
4. Fit every member on all training users. The encoder trains for the best number of steps of the folds, on a
   schedule that ends with the last of them. As in the folds, the bias of its head is fitted last.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from jobs.encoder.classifier import EncoderConfig
from jobs.encoder.risk_model import average_models, build_risk_model
from jobs.evaluation.classification import choose_threshold
from jobs.evaluation.metrics import to_probabilities
from jobs.runs.names import ENCODER, snake_case
from jobs.sequences.token_sequences import TokenSequences
from jobs.sequences.tokenizer import Tokenizer
from jobs.training.encoder_trainer import EncoderTrainer, OnEpoch
from jobs.training.fit.classifier import Epoch, StartingPoint
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.predict import predict_logits
from jobs.training.fit.rate_finder import RateSearch, find_learning_rate
from jobs.training.held_out import HeldOut, Logits, score_held_out
from jobs.training.linear import LinearModel, fit_linear
from jobs.training.prepared import Prepared, prepare
from jobs.training.settings import TrainingSettings
from jobs.training.stacking import Stack, fit_stacks
from jobs.training.start.pretrain import PretrainingEpoch
from jobs.training.start.starting_weights import choose_starting_weights
from jobs.training.start.warm_start import Earlier
from jobs.training_set.examples import Examples
from jobs.training_set.folds import make_folds
from jobs.training_set.trained_on import TrainedOn


@dataclass(frozen=True)
class Trained:
    """The model, its members and their weights."""

    model: keras.Model  # token ids -> calibrated logit
    tokenizer: Tokenizer
    config: EncoderConfig
    encoder: keras.Model  # on all training users; the average where there are several
    linear: dict[str, LinearModel]
    stack: Stack  # of all members
    linear_stack: Stack  # of the linear members alone
    held_out: HeldOut
    first_encoder: keras.Model  # on all training users; a later training can start from it
    trained_on: TrainedOn

    def member_logits(self, tokens: TokenSequences) -> dict[str, Logits]:
        """Logits of each member fitted on all training users, `(examples,)` each."""
        encoder = predict_logits(self.encoder, tokens).astype(np.float64)
        linear = {name: model.predict_logits(tokens) for name, model in self.linear.items()}
        return {ENCODER: encoder, **linear}

    @property
    def held_out_auc(self) -> dict[str, float]:
        """Cross-validated AUC by member."""
        held_out = self.held_out
        return {name: float(roc_auc_score(held_out.labels, z)) for name, z in held_out.logits.items()}

    @property
    def threshold(self) -> float:
        """Probability that separates the labels of the held-out users best (Youden's J)."""
        held_out = self.held_out
        return choose_threshold(held_out.labels, to_probabilities(self.stack.combine(held_out.logits)))


def train(
    examples: Examples,
    settings: TrainingSettings,
    on_epoch: OnEpoch,
    earlier: Earlier | None = None,
    checkpoints: Path | None = None,
) -> Trained:
    """Train all members, stack them and join them to one model.

    Args:
        on_epoch: called with the part of the training and the epoch, after each epoch.
        earlier: version to start from.
        checkpoints: folder from which an interrupted training resumes.

    Raises:
        SplitError: too few users of a label.
        WarmStartError: the earlier version has other sizes, or has seen the users that folds hold out.
        CheckpointError: the folder holds another training's state.
    """
    prepared = prepare(examples, settings)
    folds = make_folds(examples, settings.recipe.folds, settings.recipe.enough_held_out)
    trained_on = TrainedOn.of_folds(examples, folds)
    if earlier is not None:
        folds = earlier.keep_unseen(folds, examples)
        trained_on = trained_on.after(earlier.trained_on)
    start = choose_starting_weights(
        prepared, settings.training, len(folds), earlier, partial(report_pretraining, on_epoch)
    )
    trainer = EncoderTrainer(prepared.config, one_for_each_seed(settings), on_epoch, checkpoints)
    held_out = score_held_out(prepared.users, folds, trainer, start.folds)
    stack, linear_stack = fit_stacks(held_out.logits, held_out.labels, doubtful=ENCODER)
    linear = fit_linear_members(prepared, held_out)
    encoders = trainer.train_for(held_out.best_steps, prepared.users, start.all_users, "all training users")
    encoder = average_models(encoders)
    return Trained(
        model=join(encoder, linear, stack, prepared.tokenizer.max_history),
        tokenizer=prepared.tokenizer,
        config=prepared.config,
        encoder=encoder,
        linear=linear,
        stack=stack,
        linear_stack=linear_stack,
        held_out=held_out,
        first_encoder=encoders[0],
        trained_on=trained_on,
    )


def fit_linear_members(prepared: Prepared, held_out: HeldOut) -> dict[str, LinearModel]:
    """Fit the linear members on all training users, with the settings that were best on held-out users."""
    tokens, labels = prepared.users.tokens, prepared.users.labels
    return {
        name: fit_linear(tokens, labels, prepared.config.vocabulary_size, order, held_out.cs[order])
        for name, order in held_out.orders.items()
    }


def find_rate(
    examples: Examples, settings: TrainingSettings, on_epoch: OnEpoch, earlier: Earlier | None
) -> RateSearch:
    """Run the learning-rate range test on the encoder, from the starting weights of the final training."""
    prepared = prepare(examples, settings)
    start = choose_starting_weights(
        prepared, settings.training, 0, earlier, partial(report_pretraining, on_epoch)
    )
    return find_learning_rate(
        prepared.config, settings.training, prepared.users, StartingPoint(start.all_users)
    )


def report_pretraining(on_epoch: OnEpoch, epoch: PretrainingEpoch) -> None:
    """Report an epoch of pretraining as a part of the training."""
    nan = float("nan")
    on_epoch("pretraining", Epoch(epoch.number, 0, epoch.masked_loss, nan, nan, epoch.seconds))


def one_for_each_seed(settings: TrainingSettings) -> list[TrainingOptions]:
    """Options of each encoder, with consecutive seeds."""
    first = settings.training.seed
    return [
        settings.training.model_copy(update={"seed": first + number})
        for number in range(settings.recipe.encoders)
    ]


def join(encoder: keras.Model, linear: dict[str, LinearModel], stack: Stack, max_history: int) -> keras.Model:
    """Join the members with a weight above 0 to one model; all members if none has one."""
    layers = {ENCODER: encoder, **{name: model.to_layer(snake_case(name)) for name, model in linear.items()}}
    # A member of weight 0 would cost each night as much time as any other.
    return build_risk_model(
        [layers[name] for name in stack.used], list(stack.used.values()), stack.intercept, max_history
    )

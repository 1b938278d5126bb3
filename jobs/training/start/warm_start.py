"""Start a training from an earlier version whose vocabulary may differ.

In   the earlier classifier and its apps in token order, the apps of the new vocabulary, the new sizes
Out  initial weights: the earlier embedding of each app; a new app gets that of the unknown app

A version keeps the encoder of each fold beside the one of all users. A fold's training starts from the
earlier fold encoder of the same number, which has not seen the users held out. The one of all users knows
their labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.encoder.tokens import FIRST_APP_TOKEN_ID, UNKNOWN_TOKEN_ID
from jobs.errors import DataError
from jobs.sequences.vocabulary import Vocabulary
from jobs.training.fit.classifier import BuildModel
from jobs.training.fit.named_weights import EMBEDDINGS, NamedWeights, read_weights
from jobs.training_set.examples import Examples
from jobs.training_set.folds import Fold
from jobs.training_set.trained_on import TrainedOn

# Settings that may differ between the two encoders: names, the vocabulary, and everything that is not a size.
NOT_COMPARED = {"name", "trainable", "dtype", "vocabulary_size", "dropout"}


class WarmStartError(DataError):
    """The earlier version cannot be started from, with these settings or on these users."""


@dataclass(frozen=True)
class Earlier:
    """A version to start from."""

    vocabulary: Vocabulary
    encoder: keras.Model  # fitted on all of its training users; the first of several
    fold_encoders: list[keras.Model]  # fitted on all but one fold each, the first fold's first
    trained_on: TrainedOn

    def keep_unseen(self, folds: Sequence[Fold], train: Examples) -> list[Fold]:
        """Keep the folds that have an encoder, without held-out users that this encoder was trained on.

        Folds are cut by rank of the users, so the cuts move when users come or go.

        Raises:
            WarmStartError: a fold has no users of one of the labels left.
        """
        kept = []
        for number, fold in enumerate(folds[: len(self.fold_encoders)], start=1):
            is_seen = self.trained_on.fold_has_seen(number, train.take(fold.held_out))
            held_out = fold.held_out[~is_seen]
            if set(train.labels[held_out]) != {0, 1}:
                raise WarmStartError(
                    f"the earlier version's encoders have seen {is_seen.sum()} of {len(is_seen)} users that fold "
                    f"{number} holds out, and unseen users of both labels are needed: use the --test-from and "
                    "--recipe.folds of that version's training, or leave out --warm-start-version"
                )
            kept.append(Fold(fold.fitted, held_out))
        return kept


def warm_start(
    earlier: keras.Model,
    earlier_apps: Sequence[str],
    apps: Sequence[str],
    config: EncoderConfig,
    *,
    build: BuildModel = build_classifier,
) -> NamedWeights:
    """Weights of the earlier model, its embeddings in the order of the new vocabulary.

    Args:
        earlier: a classifier of `build`, as `keras.models.load_model` gives it.
        earlier_apps: its vocabulary; `earlier_apps[0]` is token 3.
        apps: the new vocabulary; an app that the earlier model lacks starts with its unknown app's embedding.

    Raises:
        WarmStartError: sizes differ (names the setting), or a vocabulary does not belong to its model.
    """
    fresh = build(config)
    _check_settings(_encoder_settings(earlier), _encoder_settings(fresh))
    weights = read_weights(earlier)
    _check_vocabulary("earlier", len(weights[EMBEDDINGS]), earlier_apps)
    _check_vocabulary("new", config.vocabulary_size, apps)
    embeddings = reconcile_embeddings(weights[EMBEDDINGS], earlier_apps, apps)
    _check_shapes({**weights, EMBEDDINGS: embeddings}, read_weights(fresh))
    return {**weights, EMBEDDINGS: embeddings}


def reconcile_embeddings(
    earlier: NDArray[np.float32], earlier_apps: Sequence[str], apps: Sequence[str]
) -> NDArray[np.float32]:
    """Embeddings `(vocabulary, hidden_dim)` of `apps`: the earlier ones, or the unknown app's."""
    earlier_tokens = {app: token for token, app in enumerate(earlier_apps, FIRST_APP_TOKEN_ID)}
    tokens = [earlier_tokens.get(app, UNKNOWN_TOKEN_ID) for app in apps]
    return earlier[[*range(FIRST_APP_TOKEN_ID), *tokens]]


def _check_vocabulary(which: str, vocabulary_size: int, apps: Sequence[str]) -> None:
    if vocabulary_size != FIRST_APP_TOKEN_ID + len(apps):
        raise WarmStartError(
            f"the {which} model has vocabulary_size {vocabulary_size}, its vocabulary makes "
            f"{FIRST_APP_TOKEN_ID + len(apps)}: {len(apps)} apps and {FIRST_APP_TOKEN_ID} special tokens"
        )


def _encoder_settings(model: keras.Model) -> dict[str, Any]:
    config: dict[str, Any] = model.get_layer("encoder").get_config()
    return {name: value for name, value in config.items() if name not in NOT_COMPARED}


def _check_settings(earlier: dict[str, Any], new: dict[str, Any]) -> None:
    differing = [
        f"{name} is {new.get(name)}, the earlier model has {earlier.get(name)}"
        for name in sorted({*earlier, *new})
        if earlier.get(name) != new.get(name)
    ]
    if differing:
        raise WarmStartError(f"cannot start from the earlier model: {'; '.join(differing)}")


def _check_shapes(weights: NamedWeights, needed: NamedWeights) -> None:
    """Check what the encoder's settings do not cover, such as another head."""
    for path in sorted({*weights, *needed}):
        earlier, new = (held[path].shape if path in held else "missing" for held in (weights, needed))
        if earlier != new:
            raise WarmStartError(
                f"cannot start from the earlier model: weight {path} is {new}, it has {earlier}"
            )

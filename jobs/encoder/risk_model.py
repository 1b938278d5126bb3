"""The model that scores: a weighted sum of the encoder's logit and of linear models' logits.

In   token ids, padded at the end with zeros, negative where a session begins   int32 (batch, sequence)
Out  one logit per user                                                          float32 (batch,)
"""

from collections.abc import Sequence
from typing import Any

import keras

from jobs.encoder.layers.keep_last_installs import KeepLastInstalls
from jobs.encoder.layers.stacked_logit import StackedLogit


def build_risk_model(
    members: Sequence[Any], weights: Sequence[float], intercept: float, max_history: int
) -> keras.Model:
    """Join models or layers, each from token ids to a logit, to one model that reads the last `max_history` installs.

    Returns:
        token ids int32 `(batch, sequence)` to logit float32 `(batch,)`, named `risk_model`.
    """
    token_ids = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    history = KeepLastInstalls(max_history, name="history")(token_ids)
    logits = [member(history) for member in members]
    return keras.Model(token_ids, StackedLogit(weights, intercept, name="stack")(logits), name="risk_model")


def average_models(models: Sequence[keras.Model]) -> keras.Model:
    """One model that gives the mean of several models' logits; a single one stays as it is."""
    if len(models) == 1:
        return models[0]
    token_ids = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    for number, model in enumerate(models):
        model.name = f"{model.name}_{number}"
    mean = keras.layers.average([model(token_ids) for model in models])
    return keras.Model(token_ids, mean, name="encoder_ensemble")

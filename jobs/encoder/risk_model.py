"""The risk model: a weighted sum of the logits of the encoder and of linear models.

In   token ids, negative where a session begins, 0 is padding   int32 (batch, sequence)   [[-5, 9], [-4, 0]]
Out  one logit per user                                         float32 (batch,)
"""

from collections.abc import Sequence
from typing import Any

import keras

from jobs.encoder.layers.keep_last_installs import KeepLastInstalls
from jobs.encoder.layers.stacked_logit import StackedLogit


def build_risk_model(
    members: Sequence[Any], weights: Sequence[float], intercept: float, max_history: int
) -> keras.Model:
    """Join members into one model that reads the last `max_history` installs.

    Args:
        members: models or layers, each from token ids to a logit.

    Returns:
        token ids int32 `(batch, sequence)` to logit float32 `(batch,)`, named `risk_model`.
    """
    token_ids = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    history = KeepLastInstalls(max_history, name="history")(token_ids)
    logits = [member(history) for member in members]
    return keras.Model(token_ids, StackedLogit(weights, intercept, name="stack")(logits), name="risk_model")


def average_models(models: Sequence[keras.Model]) -> keras.Model:
    """Build a model whose logit is the mean of several models' logits; a single model stays as it is."""
    if len(models) == 1:
        return models[0]
    token_ids = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    for number, model in enumerate(models):
        model.name = f"{model.name}_{number}"
    mean = keras.layers.average([model(token_ids) for model in models])
    return keras.Model(token_ids, mean, name="encoder_ensemble")

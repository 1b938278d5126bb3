"""The model that scores: a weighted sum of the encoder's logit and of linear models' logits.

In   token ids, padded at the end with zeros, negative where a session begins   int32 (batch, sequence)
Out  one logit per user                                                          float32 (batch,)
"""
# mypy: allow-subclassing-any
# Keras ships no types.

from collections.abc import Sequence
from typing import Any

import keras

from jobs.encoder.keep_last_installs import KeepLastInstalls
from jobs.encoder.tensor import Shape, Tensor


@keras.saving.register_keras_serializable(package="risk_encoder")
class StackedLogit(keras.layers.Layer):
    """`sum_k w_k logit_k + b`, with numbers from out-of-fold logits (`jobs/training/stacking.py`).

    Args:
        weights: one per model.
        intercept: what the sum starts with.

    Call arguments:
        logits: list of float tensors, `(batch,)` each.

    Returns:
        float32, `(batch,)`.

    Example:
        >>> import keras
        >>> StackedLogit([0.5, 2.0], 1.0)([keras.ops.ones((1,)), keras.ops.ones((1,))]).numpy().tolist()
        [3.5]
    """

    def __init__(self, weights: Sequence[float], intercept: float, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.stack_weights = tuple(weights)
        self.intercept = intercept

    def call(self, logits: Sequence[Tensor]) -> Tensor:
        weighted = [weight * logit for weight, logit in zip(self.stack_weights, logits, strict=True)]
        return sum(weighted[1:], weighted[0]) + self.intercept

    def compute_output_shape(self, logits_shape: Sequence[Shape]) -> Shape:
        """Same as each logit's."""
        return logits_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "weights": list(self.stack_weights), "intercept": self.intercept}


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

"""A weighted sum of several models' logits.

In   one logit per user and model   float (batch,) each   [-1.2, 0.4], [-0.8, 1.0]
Out  one logit per user             float32 (batch,)      [-0.9, 0.8] for weights 0.5, 0.5 and intercept 0.1
"""

from collections.abc import Sequence
from typing import Any

import keras

from jobs.encoder.tensor import Shape, Tensor


@keras.saving.register_keras_serializable(package="risk_encoder")
class StackedLogit(keras.layers.Layer):
    """`sum_k w_k logit_k + b`, fitted on out-of-fold logits by `jobs/training/stacking.py`.

    Args:
        weights: `w_k`, one per model.
        intercept: `b`.

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
        return logits_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": list(self.stack_weights), "intercept": self.intercept}

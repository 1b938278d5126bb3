"""A weighted sum of several models' logits.

In   one logit per user and model   float (batch,) each
Out  one logit per user             float32 (batch,)
"""

from collections.abc import Sequence
from typing import Any

import keras

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

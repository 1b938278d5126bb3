"""Point-wise feed-forward network.

In   one vector per install        (batch, sequence, hidden_dim)
Out  each vector, passed on its own through two dense layers, same shape
"""

from typing import Any

import keras

from jobs.encoder.tensor import Shape, Tensor


@keras.saving.register_keras_serializable(package="risk_encoder")
class PointWiseFeedForward(keras.layers.Layer):
    """Two dense layers with a SiLU between them (Vaswani et al., 2017, §3.3, eq. 2).

    `SiLU(x W_1 + b_1) W_2 + b_2`, with the same weights at every position and without a mask. The gradient of
    the paper's ReLU jumps, which made explanations inexact; that of `SiLU(x) = x sigmoid(x)` (Elfwing et al.,
    2018) does not.

    Args:
        hidden_dim: width of the output.
        intermediate_dim: width between the two layers.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`.

    Example:
        >>> feed_forward = PointWiseFeedForward(hidden_dim=64, intermediate_dim=128)
        >>> tuple(feed_forward(keras.random.normal((2, 7, 64))).shape)
        (2, 7, 64)

    Reference:
        https://arxiv.org/abs/1706.03762, https://arxiv.org/abs/1702.03118
    """

    def __init__(self, hidden_dim: int, intermediate_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.inner_dense = keras.layers.Dense(
            intermediate_dim, activation="silu", dtype=self.dtype_policy, name="inner"
        )
        self.outer_dense = keras.layers.Dense(hidden_dim, dtype=self.dtype_policy, name="outer")

    def build(self, input_shape: Shape) -> None:
        """Build both layers here, so that saved weights find their variables."""
        self.inner_dense.build(input_shape)
        self.outer_dense.build((*input_shape[:-1], self.intermediate_dim))

    def call(self, inputs: Tensor) -> Tensor:
        return self.outer_dense(self.inner_dense(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "intermediate_dim": self.intermediate_dim,
        }

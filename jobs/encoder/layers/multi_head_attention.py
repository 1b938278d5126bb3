"""Multi-head self-attention.

In   one vector per install        (batch, sequence, hidden_dim), and which installs are real
Out  one vector per install, a mix of what all of the user's installs hold, same shape
"""

from typing import Any

import keras
from keras import ops

from jobs.encoder.layers.scaled_dot_product_attention import ScaledDotProductAttention
from jobs.encoder.tensor import Shape, Tensor


@keras.saving.register_keras_serializable(package="risk_encoder")
class MultiHeadAttention(keras.layers.Layer):
    """Several attention heads side by side, each with its own projections (Vaswani et al., 2017, §3.2.2).

    `Concat(head_1, …, head_h) W^O` with `head_i = Attention(X W_i^Q, X W_i^K, X W_i^V)` and
    `head_dim = hidden_dim / num_heads`. Query, key and value have one matrix each, and a head's
    projection is a block of its columns.

    Args:
        hidden_dim: width of input and output; a multiple of `num_heads`.
        num_heads: number of attention heads.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.
        padding_mask: bool, `(batch, sequence)`; True marks a real install.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`. Padded positions hold meaningless numbers.

    Example:
        >>> attention = MultiHeadAttention(hidden_dim=64, num_heads=4)
        >>> mask = ops.ones((2, 7), dtype="bool")
        >>> tuple(attention(keras.random.normal((2, 7, 64)), padding_mask=mask).shape)
        (2, 7, 64)

    Reference:
        https://arxiv.org/abs/1706.03762
    """

    def __init__(self, hidden_dim: int, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if hidden_dim % num_heads:
            raise ValueError(
                f"num_heads must divide hidden_dim: got num_heads={num_heads}, hidden_dim={hidden_dim}"
            )
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.query_dense = self._projection("query")
        self.key_dense = self._projection("key")
        self.value_dense = self._projection("value")
        self.output_dense = self._projection("output")
        self.attention = ScaledDotProductAttention(dtype=self.dtype_policy, name="attention")

    def _projection(self, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(self.hidden_dim, dtype=self.dtype_policy, name=name)

    def build(self, input_shape: Shape) -> None:
        """Build the projections here, so that saved weights find their variables."""
        for dense in (self.query_dense, self.key_dense, self.value_dense, self.output_dense):
            dense.build(input_shape)

    def call(self, inputs: Tensor, padding_mask: Tensor) -> Tensor:
        heads = self.attention(
            self._split_heads(self.query_dense(inputs)),
            self._split_heads(self.key_dense(inputs)),
            self._split_heads(self.value_dense(inputs)),
            padding_mask=padding_mask,
        )
        return self.output_dense(self._join_heads(heads))

    def _split_heads(self, projected: Tensor) -> Tensor:
        batch, sequence, _ = ops.shape(projected)
        head_dim = self.hidden_dim // self.num_heads
        split = ops.reshape(projected, (batch, sequence, self.num_heads, head_dim))
        return ops.transpose(split, (0, 2, 1, 3))  # (batch, num_heads, sequence, head_dim)

    def _join_heads(self, heads: Tensor) -> Tensor:
        batch, _, sequence, _ = ops.shape(heads)
        return ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), (batch, sequence, self.hidden_dim))

    def compute_output_shape(self, inputs_shape: Shape, padding_mask_shape: Shape) -> Shape:
        del padding_mask_shape
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hidden_dim": self.hidden_dim, "num_heads": self.num_heads}

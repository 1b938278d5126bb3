"""One layer of the encoder: self-attention, then a feed-forward network.

In   one vector per install        (batch, sequence, hidden_dim), and which installs are real
Out  one vector per install, updated by what the user's other installs hold, same shape
"""

from typing import Any

import keras

from jobs.encoder.layers.multi_head_attention import MultiHeadAttention
from jobs.encoder.layers.point_wise_feed_forward import PointWiseFeedForward
from jobs.encoder.tensor import Shape, Tensor

LAYER_NORM_EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="risk_encoder")
class EncoderLayer(keras.layers.Layer):
    """Self-attention, then feed-forward (Vaswani et al., 2017, §3.1, §5.4).

    Each is `LayerNorm(x + Dropout(Sublayer(x)))`: normalisation comes after the residual sum, as in
    the original paper.

    Args:
        hidden_dim: width of input and output; a multiple of `num_heads`.
        num_heads: number of attention heads.
        intermediate_dim: width inside the feed-forward network.
        dropout: share of each sublayer's output that is dropped in training.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.
        padding_mask: bool, `(batch, sequence)`; True marks a real install.
        training: whether dropout is on.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`. Padded positions hold meaningless numbers.

    Example:
        >>> layer = EncoderLayer(hidden_dim=64, num_heads=4, intermediate_dim=128)
        >>> mask = keras.ops.ones((2, 7), dtype="bool")
        >>> tuple(layer(keras.random.normal((2, 7, 64)), padding_mask=mask).shape)
        (2, 7, 64)

    Reference:
        https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self, hidden_dim: int, num_heads: int, intermediate_dim: int, dropout: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        policy = self.dtype_policy
        self.attention = MultiHeadAttention(hidden_dim, num_heads, dtype=policy, name="attention")
        self.attention_dropout = keras.layers.Dropout(dropout, dtype=policy, name="attention_dropout")
        self.attention_norm = self._layer_norm("attention_norm")
        self.feed_forward = PointWiseFeedForward(
            hidden_dim, intermediate_dim, dtype=policy, name="feed_forward"
        )
        self.feed_forward_dropout = keras.layers.Dropout(dropout, dtype=policy, name="feed_forward_dropout")
        self.feed_forward_norm = self._layer_norm("feed_forward_norm")

    def _layer_norm(self, name: str) -> keras.layers.LayerNormalization:
        return keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, dtype=self.dtype_policy, name=name)

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers here, so that saved weights find their variables."""
        for sublayer in (self.attention, self.attention_norm, self.feed_forward, self.feed_forward_norm):
            sublayer.build(input_shape)

    def call(self, inputs: Tensor, padding_mask: Tensor, training: bool | None = None) -> Tensor:
        attended = self.attention(inputs, padding_mask=padding_mask)
        x = self.attention_norm(inputs + self.attention_dropout(attended, training=training))
        transformed = self.feed_forward(x)
        return self.feed_forward_norm(x + self.feed_forward_dropout(transformed, training=training))

    def compute_output_shape(self, inputs_shape: Shape, padding_mask_shape: Shape) -> Shape:
        del padding_mask_shape
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
        }

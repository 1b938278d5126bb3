"""Attention pooling: averages over a user's real installs, with equal and with learned weights.

In   one vector per install   float (batch, sequence, hidden_dim), and which installs are real
Out  one vector per user      float (batch, 4 * hidden_dim)
"""

from typing import Any

import keras
from keras import ops

from jobs.encoder.layers.relative_place_encoding import relative_places
from jobs.encoder.tensor import Shape, Tensor

# Averages of few installs are noisy, so they are shrunk towards zero. With this many installs of weight 1,
# half of the average is kept.
SHRINKAGE_INSTALLS = 4.0


@keras.saving.register_keras_serializable(package="risk_encoder")
class AttentionPooling(keras.layers.Layer):
    """Shrunk averages of all installs, with equal weights and with learned ones.

    `sum(w x) / (sum(w) + 4)` and `sum(w p x) / (sum(w) + 4)`, once with `w = 1` and once with learned `w`.

    `p` is an install's relative place, from -1 to 1: it tells whether an install came early or late. The
    learned weights are `exp(score)`, where each head has a linear score of `x`. Each head averages its own
    share of the width, over the installs that matter to it, however many others a user has (as in Lin et al.,
    2017, "A Structured Self-Attentive Sentence Embedding", https://arxiv.org/abs/1703.03130, §2.1). A user
    with only padding gets zeros. Sums run in float32 whatever the compute dtype: float16 loses digits over
    long sequences.

    Args:
        num_heads: averages with learned weights, side by side; divides `hidden_dim`.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.
        padding_mask: bool, `(batch, sequence)`; True marks a real install.

    Returns:
        Float tensor, `(batch, 4 * hidden_dim)`: plain, plain by place, learned, learned by place.

    Example:
        >>> pooling = AttentionPooling(num_heads=2)
        >>> mask = keras.ops.ones((1, 3), dtype="bool")
        >>> tuple(pooling(keras.ops.ones((1, 3, 4)), padding_mask=mask).shape)
        (1, 16)
    """

    def __init__(self, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def build(self, inputs_shape: Shape, padding_mask_shape: Shape | None = None) -> None:
        del padding_mask_shape
        self.score = keras.layers.Dense(self.num_heads, dtype=self.dtype_policy, name="score")
        self.score.build(inputs_shape)

    def call(self, inputs: Tensor, padding_mask: Tensor) -> Tensor:
        x, is_real = ops.cast(inputs, "float32"), ops.cast(padding_mask, "float32")[:, :, None]
        places = relative_places(padding_mask)[:, :, None]
        scores = ops.cast(self.score(inputs), "float32") * is_real  # (batch, sequence, heads)
        # Numerator and denominator are divided by the largest weight, so that none overflows.
        largest = ops.stop_gradient(ops.max(ops.maximum(scores, 0.0), axis=1, keepdims=True))
        pooled = [
            *average_by_place(x, is_real, places, SHRINKAGE_INSTALLS),
            *average_by_place(
                x, ops.exp(scores - largest) * is_real, places, SHRINKAGE_INSTALLS * ops.exp(-largest)
            ),
        ]
        return ops.cast(ops.concatenate(pooled, axis=-1), self.compute_dtype)

    def compute_output_shape(self, inputs_shape: Shape, padding_mask_shape: Shape) -> Shape:
        """Four vectors side by side for each user."""
        del padding_mask_shape
        batch, _, hidden_dim = inputs_shape
        return (batch, None if hidden_dim is None else 4 * hidden_dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_heads": self.num_heads}


def average_by_place(x: Tensor, weights: Tensor, places: Tensor, shrinkage: float | Tensor) -> list[Tensor]:
    """`sum(w x) / (sum(w) + shrinkage)` and `sum(w p x) / (sum(w) + shrinkage)`, `(batch, hidden_dim)` each.

    Args:
        x: `(batch, sequence, hidden_dim)`.
        weights: `(batch, sequence, heads)`; each head weighs its own share of `x`'s width.
        places: `(batch, sequence, 1)`.
        shrinkage: one number, or `(batch, 1, heads)`.
    """
    hidden_dim, heads = x.shape[-1], weights.shape[-1]
    shares = weights / (ops.sum(weights, axis=1, keepdims=True) + shrinkage)
    by_head = ops.reshape(x, (-1, ops.shape(x)[1], heads, hidden_dim // heads))
    averages = [ops.sum(w[..., None] * by_head, axis=1) for w in (shares, shares * places)]
    return [ops.reshape(average, (-1, hidden_dim)) for average in averages]

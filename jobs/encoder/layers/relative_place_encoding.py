"""Relative place of each install in its user's history.

In   one vector per install    float (batch, sequence, hidden_dim), and which installs are real
Out  the same vectors plus an encoding of their place: from -1 for the first install to 1 for the last
"""

import math

import keras
from keras import ops

from jobs.encoder.tensor import Shape, Tensor

WAVES = 4


def relative_places(padding_mask: Tensor) -> Tensor:
    """Place of each real install from -1, the first, to 1, the last; 0 for padding and for a single install.

    Args:
        padding_mask: bool, `(batch, sequence)`; True marks a real install.

    Returns:
        float32, `(batch, sequence)`.
    """
    is_real = ops.cast(padding_mask, "float32")
    rank = ops.cumsum(is_real, axis=1) - 1.0
    last_rank = ops.sum(is_real, axis=1, keepdims=True) - 1.0
    places = 2.0 * rank / ops.maximum(last_rank, 1.0) - 1.0
    # The only install of a user is its first and its last.
    return ops.where(last_rank > 0, places, 0.0) * is_real


@keras.saving.register_keras_serializable(package="risk_encoder")
class RelativePlaceEncoding(keras.layers.Layer):
    """Add a learned projection of the relative place and of its waves.

    `x + W [p, sin(k pi p / 2), cos(k pi p / 2)] + b` for `k = 1 … 4`, where `p` runs from -1 to 1. Whether an
    app came early or late in a history depends on the history's length, which sinusoids of the absolute
    position do not know. Waves of a coordinate are used as in Tancik et al., 2020,
    https://arxiv.org/abs/2006.10739.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.
        padding_mask: bool, `(batch, sequence)`; True marks a real install.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`.

    Example:
        >>> import keras
        >>> layer = RelativePlaceEncoding()
        >>> tuple(layer(keras.ops.zeros((1, 3, 8)), padding_mask=keras.ops.ones((1, 3), dtype="bool")).shape)
        (1, 3, 8)
    """

    def build(self, inputs_shape: Shape, padding_mask_shape: Shape | None = None) -> None:
        """Build the projection, as wide as the input."""
        del padding_mask_shape
        self.projection = keras.layers.Dense(inputs_shape[-1], dtype=self.dtype_policy, name="projection")
        self.projection.build((*inputs_shape[:-1], 1 + 2 * WAVES))

    def call(self, inputs: Tensor, padding_mask: Tensor) -> Tensor:
        places = relative_places(padding_mask)[:, :, None]
        angles = [0.5 * math.pi * k * places for k in range(1, WAVES + 1)]
        features = ops.concatenate([places, *map(ops.sin, angles), *map(ops.cos, angles)], axis=-1)
        return inputs + self.projection(ops.cast(features, self.compute_dtype))

    def compute_output_shape(self, inputs_shape: Shape, padding_mask_shape: Shape) -> Shape:
        del padding_mask_shape
        return inputs_shape

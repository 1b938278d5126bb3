"""Average over a user's real installs, once as they are and once by their place in the history.

In   one vector per install   float (batch, sequence, hidden_dim), and which installs are real
Out  one vector per user      float (batch, 2 * hidden_dim)
"""
# mypy: allow-subclassing-any
# Keras ships no types.

import keras
from keras import ops

from jobs.encoder.relative_place_encoding import relative_places
from jobs.encoder.tensor import Shape, Tensor

# Averages of short histories are noisy, so they are shrunk towards zero: a user with this many installs keeps half.
SHRINKAGE_INSTALLS = 4.0


@keras.saving.register_keras_serializable(package="risk_encoder")
class PlacePooling(keras.layers.Layer):
    """`sum(x) / (n + 4)` and `sum(p x) / (n + 4)` over a user's `n` installs, side by side.

    `p` is an install's relative place, from -1 to 1: the second half says whether what the encoder found came early or
    late. A user with only padding gets zeros. Sums run in float32 whatever the compute dtype: float16 loses digits over
    long sequences.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.
        padding_mask: bool, `(batch, sequence)`; True marks a real install.

    Returns:
        Float tensor, `(batch, 2 * hidden_dim)`.

    Example:
        >>> import keras
        >>> tuple(PlacePooling()(keras.ops.ones((1, 3, 2)), padding_mask=keras.ops.ones((1, 3), dtype="bool")).shape)
        (1, 4)
    """

    def call(self, inputs: Tensor, padding_mask: Tensor) -> Tensor:
        is_real = ops.cast(padding_mask, "float32")
        weights = ops.stack([is_real, relative_places(padding_mask)], axis=1)  # (batch, 2, sequence)
        totals = ops.matmul(weights, ops.cast(inputs, "float32"))  # (batch, 2, hidden_dim)
        installs = ops.sum(is_real, axis=1)[:, None, None]
        pooled = ops.reshape(totals / (installs + SHRINKAGE_INSTALLS), (-1, 2 * inputs.shape[-1]))
        return ops.cast(pooled, self.compute_dtype)

    def compute_output_shape(self, inputs_shape: Shape, padding_mask_shape: Shape) -> Shape:
        """Two vectors side by side for each user."""
        del padding_mask_shape
        batch, _, hidden_dim = inputs_shape
        return (batch, None if hidden_dim is None else 2 * hidden_dim)

"""Average over a user's real installs.

In   one vector per install   float (batch, sequence, hidden_dim), and the token ids they stand for
Out  one vector per user      float (batch, hidden_dim)
"""
# mypy: allow-subclassing-any
# Keras ships no types.

import keras
from keras import ops

from jobs.encoder.encoder import PAD_TOKEN_ID
from jobs.encoder.tensor import Shape, Tensor


@keras.saving.register_keras_serializable(package="risk_encoder")
class MaskedAveragePooling(keras.layers.Layer):
    """Mean over the sequence, padded positions left out.

    The mask is derived from the token ids inside the call. A user with only padding gets zeros. The sum
    runs in float32 whatever the compute dtype: float16 loses digits over long sequences.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.
        token_ids: int32, `(batch, sequence)`; 0 is padding.

    Returns:
        Float tensor, `(batch, hidden_dim)`.

    Example:
        >>> pooled = MaskedAveragePooling()(ops.ones((1, 3, 2)), token_ids=ops.convert_to_tensor([[5, 9, 0]]))
        >>> pooled.shape
        (1, 2)
    """

    def call(self, inputs: Tensor, token_ids: Tensor) -> Tensor:
        is_real = ops.cast(ops.not_equal(token_ids, PAD_TOKEN_ID), "float32")  # (batch, sequence)
        total = ops.sum(ops.cast(inputs, "float32") * is_real[:, :, None], axis=1)  # (batch, hidden_dim)
        count = ops.maximum(ops.sum(is_real, axis=1, keepdims=True), 1.0)  # (batch, 1)
        return ops.cast(total / count, self.compute_dtype)

    def compute_output_shape(self, inputs_shape: Shape, token_ids_shape: Shape) -> Shape:
        """The input's shape without its sequence."""
        del token_ids_shape
        return (inputs_shape[0], inputs_shape[-1])

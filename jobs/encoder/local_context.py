"""What stands directly around each install.

In   one vector per install    float (batch, sequence, hidden_dim), and which installs are real
Out  one vector per install that knows its neighbours, same shape
"""
# mypy: allow-subclassing-any
# Keras ships no types.

from typing import Any

import keras
from keras import ops

from jobs.encoder.encoder_layer import LAYER_NORM_EPSILON
from jobs.encoder.tensor import Shape, Tensor


@keras.saving.register_keras_serializable(package="risk_encoder")
class LocalContext(keras.layers.Layer):
    """A convolution over neighbouring installs, then residual sum and normalisation.

    `LayerNorm(x + Dropout(ReLU(Conv(x))))`, padding set to zero before the convolution. Short motifs, one app right
    after another, are what attention learns slowest from a few thousand users; a convolution before it sees them at
    once (as in QANet, Yu et al., 2018, https://arxiv.org/abs/1804.09541, §2.2).

    Args:
        width: installs that one output sees, itself in the middle; odd.
        dropout: share dropped in training.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.
        padding_mask: bool, `(batch, sequence)`; True marks a real install.
        training: whether dropout is on.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`.

    Example:
        >>> import keras
        >>> layer = LocalContext(width=5)
        >>> tuple(layer(keras.ops.ones((2, 7, 64)), padding_mask=keras.ops.ones((2, 7), dtype="bool")).shape)
        (2, 7, 64)
    """

    def __init__(self, width: int, dropout: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.dropout = dropout
        policy = self.dtype_policy
        self.context_dropout = keras.layers.Dropout(dropout, dtype=policy, name="context_dropout")
        self.norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, dtype=policy, name="norm")

    def build(self, inputs_shape: Shape, padding_mask_shape: Shape | None = None) -> None:
        """Build the convolution, whose width is the input's."""
        del padding_mask_shape
        self.convolution = keras.layers.Conv1D(
            inputs_shape[-1],
            self.width,
            padding="same",
            activation="relu",
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution.build(inputs_shape)
        self.norm.build(inputs_shape)

    def call(self, inputs: Tensor, padding_mask: Tensor, training: bool | None = None) -> Tensor:
        is_real = ops.cast(padding_mask, self.compute_dtype)[:, :, None]
        context = self.convolution(inputs * is_real)
        return self.norm(inputs + self.context_dropout(context, training=training))

    def compute_output_shape(self, inputs_shape: Shape, padding_mask_shape: Shape) -> Shape:
        """Same as the input's."""
        del padding_mask_shape
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "width": self.width, "dropout": self.dropout}

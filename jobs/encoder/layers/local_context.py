"""Convolutions over neighbouring installs.

In   one vector per install          float (batch, sequence, hidden_dim)
     which installs are real         bool (batch, sequence)                [[True, True, True, False]]
     each install's session number   int32 (batch, sequence)               [[1, 1, 2, 2]]
Out  one vector per install, updated by its neighbours, same shape
"""

from typing import Any

import keras
from keras import ops

from jobs.encoder.tensor import Shape, Tensor

LAYER_NORM_EPSILON = 1e-6  # this layer's own: the encoder layer's may change without it


@keras.saving.register_keras_serializable(package="risk_encoder")
class LocalContext(keras.layers.Layer):
    """Convolutions over neighbouring installs, then residual sum and normalisation.

    `LayerNorm(x + Dropout(SiLU([Conv(x), SessionConv(x)])))`; padding is set to zero before the convolutions.

    From a few thousand users, attention learns short motifs (one app right after another) slowest. A
    convolution before it sees them at once (as in QANet, Yu et al., 2018, https://arxiv.org/abs/1804.09541,
    §2.2). Half of the filters see only neighbours of the same session, since an app that follows within
    minutes says more than one that follows days later. The other half see all neighbours, for histories with
    one install per session.

    Args:
        width: installs that one output sees, its own in the middle; odd.
        dropout: share dropped in training.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.
        padding_mask: bool, `(batch, sequence)`; True marks a real install.
        sessions: int32, `(batch, sequence)`; each install's session number, one higher for each next session.
        training: whether dropout is on.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`.

    Example:
        >>> import keras
        >>> mask, sessions = keras.ops.ones((2, 7), dtype="bool"), keras.ops.zeros((2, 7), dtype="int32")
        >>> layer = LocalContext(width=5)
        >>> tuple(layer(keras.ops.ones((2, 7, 64)), padding_mask=mask, sessions=sessions).shape)
        (2, 7, 64)
    """

    def __init__(self, width: int, dropout: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.dropout = dropout
        policy = self.dtype_policy
        self.context_dropout = keras.layers.Dropout(dropout, dtype=policy, name="context_dropout")
        self.norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, dtype=policy, name="norm")

    def build(
        self,
        inputs_shape: Shape,
        padding_mask_shape: Shape | None = None,
        sessions_shape: Shape | None = None,
    ) -> None:
        """Build the convolutions, which together are as wide as the input."""
        del padding_mask_shape, sessions_shape
        hidden_dim = inputs_shape[-1] or 0  # known when a layer is built
        self.convolution = self._convolution(hidden_dim - hidden_dim // 2, "convolution")
        self.session_convolution = self._convolution(hidden_dim // 2, "session_convolution")
        for layer in (self.convolution, self.session_convolution, self.norm):
            layer.build(inputs_shape)

    def _convolution(self, filters: int, name: str) -> keras.layers.Conv1D:
        return keras.layers.Conv1D(
            filters, self.width, padding="same", activation="silu", dtype=self.dtype_policy, name=name
        )

    def call(
        self, inputs: Tensor, padding_mask: Tensor, sessions: Tensor, training: bool | None = None
    ) -> Tensor:
        is_real = ops.cast(padding_mask, self.compute_dtype)[:, :, None]
        x = inputs * is_real
        context = ops.concatenate([self.convolution(x), self._convolve_sessions(x, sessions)], axis=-1)
        return self.norm(inputs + self.context_dropout(context, training=training))

    def _convolve_sessions(self, x: Tensor, sessions: Tensor) -> Tensor:
        """Convolve each session as if it stood alone.

        Sessions go in turn into groups, enough of them that no filter reaches two sessions of one group. With
        three groups, one convolution for each trains in half the time of sums over masked neighbours.
        """
        groups = self.width // 2 + 1
        context = 0.0
        for group in range(groups):
            in_group = ops.cast(sessions % groups == group, self.compute_dtype)[:, :, None]
            context += self.session_convolution(x * in_group) * in_group
        return context

    def compute_output_shape(
        self, inputs_shape: Shape, padding_mask_shape: Shape, sessions_shape: Shape
    ) -> Shape:
        del padding_mask_shape, sessions_shape
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "dropout": self.dropout}

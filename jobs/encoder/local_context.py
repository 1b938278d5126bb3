"""What stands directly around each install.

In   one vector per install    float (batch, sequence, hidden_dim), which installs are real, and whose session is whose
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
    """Convolutions over neighbouring installs, then residual sum and normalisation.

    `LayerNorm(x + Dropout(ReLU([Conv(x), SessionConv(x)])))`, padding set to zero before the convolutions. Short motifs,
    one app right after another, are what attention learns slowest from a few thousand users; a convolution before it sees
    them at once (as in QANet, Yu et al., 2018, https://arxiv.org/abs/1804.09541, §2.2). Half of the filters see only
    neighbours of the same session: an app minutes after another says more than one that only comes next, days later. The
    other half see all, for histories whose sessions are of one install each.

    Args:
        width: installs that one output sees, itself in the middle; odd.
        dropout: share dropped in training.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.
        padding_mask: bool, `(batch, sequence)`; True marks a real install.
        sessions: int32, `(batch, sequence)`; equal for neighbours of the same session.
        training: whether dropout is on.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`.

    Example:
        >>> import keras
        >>> mask, sessions = keras.ops.ones((2, 7), dtype="bool"), keras.ops.zeros((2, 7), dtype="int32")
        >>> tuple(LocalContext(width=5)(keras.ops.ones((2, 7, 64)), padding_mask=mask, sessions=sessions).shape)
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
        """Build the convolutions, together as wide as the input."""
        del padding_mask_shape, sessions_shape
        hidden_dim = inputs_shape[-1] or 0  # a layer's width is known when it is built
        of_session = hidden_dim // 2
        self.convolution = self._build_filters(hidden_dim - of_session, hidden_dim, "convolution")
        self.session_convolution = self._build_filters(of_session, hidden_dim, "session_convolution")
        self.norm.build(inputs_shape)

    def _build_filters(self, count: int, hidden_dim: int, name: str) -> keras.layers.Dense:
        filters = keras.layers.Dense(count, activation="relu", dtype=self.dtype_policy, name=name)
        filters.build((None, None, self.width * hidden_dim))
        return filters

    def call(
        self, inputs: Tensor, padding_mask: Tensor, sessions: Tensor, training: bool | None = None
    ) -> Tensor:
        is_real = ops.cast(padding_mask, self.compute_dtype)[:, :, None]
        neighbours = self._neighbours(inputs * is_real)
        same_session = [
            ops.cast(session == sessions, self.compute_dtype)[:, :, None]
            for session in self._neighbours(sessions)
        ]
        of_session = [x * same for x, same in zip(neighbours, same_session, strict=True)]
        context = ops.concatenate(
            [
                self.convolution(ops.concatenate(neighbours, axis=-1)),
                self.session_convolution(ops.concatenate(of_session, axis=-1)),
            ],
            axis=-1,
        )
        return self.norm(inputs + self.context_dropout(context, training=training))

    def _neighbours(self, x: Tensor) -> list[Tensor]:
        """What stands at each place's neighbours, from the left to the right one; 0 beyond the ends."""
        reach, longest = self.width // 2, ops.shape(x)[1]
        padded = ops.pad(x, [[0, 0], [reach, reach], *([0, 0] for _ in x.shape[2:])])
        return [padded[:, start : start + longest] for start in range(self.width)]

    def compute_output_shape(
        self, inputs_shape: Shape, padding_mask_shape: Shape, sessions_shape: Shape
    ) -> Shape:
        """Same as the input's."""
        del padding_mask_shape, sessions_shape
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "width": self.width, "dropout": self.dropout}

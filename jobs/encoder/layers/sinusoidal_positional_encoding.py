"""Sinusoidal positional encoding.

In   one vector per install        (batch, sequence, hidden_dim)
Out  the same vectors plus fixed waves that mark each install's position
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from jobs.encoder.tensor import Shape, Tensor


@keras.saving.register_keras_serializable(package="risk_encoder")
class SinusoidalPositionalEncoding(keras.layers.Layer):
    """Add sines and cosines of the position (Vaswani et al., 2017, §3.5).

    `PE(pos, 2i) = sin(pos / max_wavelength^(2i / hidden_dim))`, and the cosine at `2i + 1`. Positions
    count from the first install, so padding at the end changes no real position. The waves are
    computed for each batch's length, so there is no table and no limit to the length.

    Args:
        max_wavelength: base of the wavelengths, 10000 in the paper.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`.

    Example:
        >>> encoded = SinusoidalPositionalEncoding()(ops.zeros((1, 2, 4)))
        >>> encoded[0, 0].numpy().tolist()  # sin 0, cos 0, sin 0, cos 0
        [0.0, 1.0, 0.0, 1.0]

    Reference:
        https://arxiv.org/abs/1706.03762
    """

    def __init__(self, max_wavelength: float = 10_000.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength

    def call(self, inputs: Tensor) -> Tensor:
        # float32 also under mixed precision: float16 cannot tell angle 127.9 from 128.
        positions = ops.cast(ops.arange(ops.shape(inputs)[1]), "float32")[:, None]  # (sequence, 1)
        features = np.arange(inputs.shape[-1])
        rates = self.max_wavelength ** (-2.0 * (features // 2) / inputs.shape[-1])
        angles = positions * rates.astype("float32")  # (sequence, hidden_dim)
        waves = ops.where(features % 2 == 0, ops.sin(angles), ops.cos(angles))
        return inputs + ops.cast(waves, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_wavelength": self.max_wavelength}

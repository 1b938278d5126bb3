"""Keep the last installs of each row.

In   token ids, padded at the end with zeros   int32 (batch, sequence)               [[5, 9, 7], [4, 0, 0]]
Out  the last ones, padded at the end          int32 (batch, at most max_installs)   [[9, 7], [4, 0]]
"""

from typing import Any

import keras
from keras import ops

from jobs.encoder.tensor import Shape, Tensor
from jobs.encoder.tokens import PAD_TOKEN_ID


@keras.saving.register_keras_serializable(package="risk_encoder")
class KeepLastInstalls(keras.layers.Layer):
    """Cut each row to its last `max_installs` real tokens; shorter rows stay as they are.

    Args:
        max_installs: at least 1.

    Call arguments:
        token_ids: int32, `(batch, sequence)`; 0 is padding and comes last.

    Returns:
        int32, `(batch, min(sequence, max_installs))`.

    Example:
        >>> import keras
        >>> token_ids = keras.ops.convert_to_tensor([[5, 9, 7], [4, 0, 0]], dtype="int32")
        >>> KeepLastInstalls(2)(token_ids).numpy().tolist()
        [[9, 7], [4, 0]]
    """

    def __init__(self, max_installs: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_installs = max_installs

    def call(self, token_ids: Tensor) -> Tensor:
        longest = ops.shape(token_ids)[1]
        columns = ops.arange(longest, dtype="int32")
        # Rows end at different places, so each has its own first column.
        row_ends = ops.max(ops.where(token_ids != PAD_TOKEN_ID, columns + 1, 0), axis=1)  # (batch,)
        first_columns = ops.maximum(row_ends - self.max_installs, 0)
        kept = first_columns[:, None] + columns[None, : self.max_installs]
        return ops.take_along_axis(token_ids, kept, axis=1)

    def compute_output_shape(self, token_ids_shape: Shape) -> Shape:
        """The width is known only when the input's is."""
        batch, longest = token_ids_shape
        return (batch, None if longest is None else min(longest, self.max_installs))

    def compute_output_spec(self, token_ids: Tensor) -> keras.KerasTensor:
        """Keep the integers' dtype; Keras would assume the layer's float dtype."""
        return keras.KerasTensor(self.compute_output_shape(token_ids.shape), dtype=token_ids.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_installs": self.max_installs}

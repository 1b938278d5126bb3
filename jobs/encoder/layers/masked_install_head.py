"""The head of masked-install pretraining: logits of hidden installs.

In   the encoder's output             float (batch, sequence, hidden_dim)
     positions of hidden installs     int32 (batch, hidden)                   [[0, 3], [1, 2]]
Out  logits of all tokens, for each   float32 (batch, hidden, vocabulary)
"""

from typing import Any

import keras
from keras import ops

from jobs.encoder.tensor import Shape, Tensor


class MaskedInstallHead(keras.layers.Layer):
    """Logits of all tokens at the hidden positions, computed with the encoder's own embeddings.

    The input and the output share one matrix (Press and Wolf, 2017), as in BERT.

    Args:
        token_embedding: the encoder's own layer, built.

    Call arguments:
        inputs: float, `(batch, sequence, hidden_dim)`, the encoder's output.
        positions: int32, `(batch, hidden)`.

    Returns:
        Float32 tensor, `(batch, hidden, vocabulary)`.
    """

    def __init__(self, token_embedding: keras.layers.Embedding, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.token_embedding = token_embedding

    def build(self, inputs_shape: Shape, positions_shape: Shape) -> None:
        """Make one bias per token, for its popularity."""
        del inputs_shape, positions_shape
        self.bias = self.add_weight(shape=(self.token_embedding.input_dim,), initializer="zeros", name="bias")

    def call(self, inputs: Tensor, positions: Tensor) -> Tensor:
        batch, sequence, hidden_dim = ops.shape(inputs)
        rows = ops.arange(batch, dtype="int32")[:, None] * sequence + positions
        at_positions = ops.take(
            ops.reshape(inputs, (-1, hidden_dim)), rows, axis=0
        )  # (batch, hidden, hidden_dim)
        embeddings = ops.cast(self.token_embedding.embeddings, self.compute_dtype)
        logits = ops.matmul(at_positions, ops.transpose(embeddings))  # (batch, hidden, vocabulary)
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")

    def compute_output_shape(self, inputs_shape: Shape, positions_shape: Shape) -> Shape:
        return (inputs_shape[0], positions_shape[1], self.token_embedding.input_dim)

"""The Transformer encoder.

In   token ids, padded at the end with zeros   int32 (batch, sequence)
Out  one vector per install                    float (batch, sequence, hidden_dim)
"""
# mypy: allow-subclassing-any
# Keras ships no types.

import math
from typing import Any

import keras
from keras import ops

from jobs.encoder.encoder_layer import EncoderLayer
from jobs.encoder.sinusoidal_positional_encoding import SinusoidalPositionalEncoding
from jobs.encoder.tensor import Shape, Tensor

PAD_TOKEN_ID = 0


@keras.saving.register_keras_serializable(package="risk_encoder")
class TransformerEncoder(keras.layers.Layer):
    """Embeddings, positions and a stack of encoder layers (Vaswani et al., 2017, §3.1, §3.4).

    Embeddings are scaled by `sqrt(hidden_dim)` (§3.4) and start with standard deviation
    `1 / sqrt(hidden_dim)`, so that they weigh as much as the positional waves. The padding mask is derived
    from the token ids inside the call; no Keras mask is read or passed on.

    Args:
        vocabulary_size: number of token ids, special tokens included.
        hidden_dim: width of the embeddings and of the output; a multiple of `num_heads`.
        num_layers: number of encoder layers.
        num_heads: number of attentions in each layer.
        intermediate_dim: width inside the feed-forward networks.
        dropout: share dropped in training, of the embeddings' sum and of each sublayer's output (§5.4).

    Call arguments:
        token_ids: int32, `(batch, sequence)`; 0 is padding and comes last.
        training: whether dropout is on.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`. Padded positions hold numbers of no meaning.

    Example:
        >>> encoder = TransformerEncoder(1000, hidden_dim=64, num_layers=2, num_heads=4, intermediate_dim=128)
        >>> encoder(ops.convert_to_tensor([[5, 9, 0], [7, 0, 0]], dtype="int32")).shape
        (2, 3, 64)

    Reference:
        https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        intermediate_dim: int,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        policy = self.dtype_policy
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=1 / math.sqrt(hidden_dim)),
            dtype=policy,
            name="token_embedding",
        )
        self.positional_encoding = SinusoidalPositionalEncoding(dtype=policy, name="positional_encoding")
        self.embedding_dropout = keras.layers.Dropout(dropout, dtype=policy, name="embedding_dropout")
        self.encoder_layers = [
            EncoderLayer(
                hidden_dim, num_heads, intermediate_dim, dropout, dtype=policy, name=f"encoder_layer_{i}"
            )
            for i in range(num_layers)
        ]

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers here, so that saved weights find their variables."""
        self.token_embedding.build(input_shape)
        for layer in self.encoder_layers:
            layer.build((*input_shape, self.hidden_dim))

    def call(self, token_ids: Tensor, training: bool | None = None) -> Tensor:
        padding_mask = ops.not_equal(token_ids, PAD_TOKEN_ID)
        x = self.token_embedding(token_ids) * math.sqrt(self.hidden_dim)  # (batch, sequence, hidden_dim)
        x = self.embedding_dropout(self.positional_encoding(x), training=training)
        for layer in self.encoder_layers:
            x = layer(x, padding_mask=padding_mask, training=training)
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`(batch, sequence, hidden_dim)`."""
        return (*input_shape, self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
        }

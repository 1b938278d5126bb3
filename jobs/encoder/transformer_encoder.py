"""The Transformer encoder.

In   token ids, negative where a session begins, 0 is padding   int32 (batch, sequence)   [[-5, 9], [-4, 0]]
Out  one vector per install                                     float (batch, sequence, hidden_dim)
"""

import math
from typing import Any

import keras
from keras import ops

from jobs.encoder.layers.encoder_layer import EncoderLayer
from jobs.encoder.layers.local_context import LocalContext
from jobs.encoder.layers.relative_place_encoding import RelativePlaceEncoding
from jobs.encoder.layers.sinusoidal_positional_encoding import SinusoidalPositionalEncoding
from jobs.encoder.tensor import Shape, Tensor
from jobs.encoder.tokens import PAD_TOKEN_ID, apps_of, begins_session


@keras.saving.register_keras_serializable(package="risk_encoder")
class TransformerEncoder(keras.layers.Layer):
    """Embeddings, positions, neighbours and a stack of encoder layers (Vaswani et al., 2017, §3.1, §3.4).

    Embeddings are scaled by `sqrt(hidden_dim)` (§3.4) and start with standard deviation `1 /
    sqrt(hidden_dim)`, so that they weigh as much as the positional waves. Two parts are not in the paper: an
    encoding of each install's relative place in the history, and convolutions over its neighbours before the
    attention. `call` derives the padding mask and the sessions from the token ids; it reads and passes on no
    Keras mask.

    Args:
        vocabulary_size: number of token ids, special tokens included.
        hidden_dim: width of the embeddings and of the output; a multiple of `num_heads`.
        num_layers: number of encoder layers.
        num_heads: number of attention heads in each layer.
        intermediate_dim: width inside the feed-forward networks.
        context_width: installs that a convolution sees, its own in the middle; odd.
        dropout: share dropped in training, of the summed embeddings and of each sublayer's output (§5.4).

    Call arguments:
        token_ids: int32, `(batch, sequence)`; 0 is padding and comes last, a negative id begins a session.
        training: whether dropout is on.

    Returns:
        Float tensor, `(batch, sequence, hidden_dim)`. Padded positions hold meaningless numbers.

    Example:
        >>> encoder = TransformerEncoder(1000, hidden_dim=64, num_layers=2, num_heads=4, intermediate_dim=128)
        >>> tuple(encoder(ops.convert_to_tensor([[5, 9, 0], [7, 0, 0]], dtype="int32")).shape)
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
        context_width: int = 5,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.context_width = context_width
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
        self.place_encoding = RelativePlaceEncoding(dtype=policy, name="place_encoding")
        self.embedding_dropout = keras.layers.Dropout(dropout, dtype=policy, name="embedding_dropout")
        self.local_context = LocalContext(context_width, dropout, dtype=policy, name="local_context")
        self.encoder_layers = [
            EncoderLayer(
                hidden_dim, num_heads, intermediate_dim, dropout, dtype=policy, name=f"encoder_layer_{i}"
            )
            for i in range(num_layers)
        ]

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers here, so that saved weights find their variables."""
        self.token_embedding.build(input_shape)
        layers: list[Any] = [self.place_encoding, self.local_context, *self.encoder_layers]
        for layer in layers:
            layer.build((*input_shape, self.hidden_dim))

    def call(self, token_ids: Tensor, training: bool | None = None) -> Tensor:
        return self.encode(self.token_embedding(apps_of(token_ids)), token_ids, training)

    def encode(self, embeddings: Tensor, token_ids: Tensor, training: bool | None = None) -> Tensor:
        """Run every step of `call` after the embedding: `(batch, sequence, hidden_dim)` to the same shape.

        Explanations start here, since gradients reach embeddings but not token ids.

        Args:
            token_ids: tell which installs are real and where sessions begin; which apps they are is not read.
        """
        padding_mask = ops.not_equal(token_ids, PAD_TOKEN_ID)
        sessions = ops.cumsum(ops.cast(begins_session(token_ids), "int32"), axis=1)
        x = self.positional_encoding(embeddings * math.sqrt(self.hidden_dim))
        x = self.place_encoding(x, padding_mask=padding_mask)
        x = self.embedding_dropout(x, training=training)
        x = self.local_context(x, padding_mask=padding_mask, sessions=sessions, training=training)
        for layer in self.encoder_layers:
            x = layer(x, padding_mask=padding_mask, training=training)
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "context_width": self.context_width,
            "dropout": self.dropout,
        }

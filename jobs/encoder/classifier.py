"""The risk classifier: encoder, pooling, head.

In   token ids, negative where a session begins, 0 is padding   int32 (batch, sequence)   [[-5, 9], [-4, 0]]
Out  one logit per user                                         float32 (batch,)
"""

import keras
from keras import ops
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from jobs.encoder.layers.attention_pooling import AttentionPooling
from jobs.encoder.layers.keep_last_installs import KeepLastInstalls
from jobs.encoder.tokens import FIRST_APP_TOKEN_ID, PAD_TOKEN_ID
from jobs.encoder.transformer_encoder import TransformerEncoder


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the classifier, checked when built.

    Raises:
        pydantic.ValidationError: a ValueError that names the setting, what it may be, and what it was.
    """

    vocabulary_size: int = Field(
        default=20_000, ge=FIRST_APP_TOKEN_ID, description="Tokens at most, special ones included"
    )
    max_sequence_length: int = Field(
        default=128, ge=1, description="Most recent installs of a user that the encoder reads"
    )
    hidden_dim: int = Field(
        default=64, ge=2, description="Width of embeddings and layers; a multiple of num_heads"
    )
    num_layers: int = Field(default=2, ge=1, description="Encoder layers")
    num_heads: int = Field(default=4, ge=1, description="Attention heads in each layer")
    intermediate_dim: int = Field(default=128, ge=1, description="Width inside the feed-forward networks")
    context_width: int = Field(
        default=5, ge=1, description="Installs that the convolutions before the attention see; odd"
    )
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0, description="Share dropped in training")

    @model_validator(mode="after")
    def check_sizes(self) -> "EncoderConfig":
        """Check that the sizes fit together."""
        if self.hidden_dim % self.num_heads:
            sizes = f"num_heads={self.num_heads} and hidden_dim={self.hidden_dim}"
            raise ValueError(f"num_heads must divide hidden_dim, got {sizes}")
        if self.context_width % 2 == 0:
            raise ValueError(f"context_width must be odd, got {self.context_width}")
        return self


def build_classifier(config: EncoderConfig) -> keras.Model:
    """Build the untrained classifier: token ids int32 `(batch, sequence)` to logit float32 `(batch,)`.

    Only the last `max_sequence_length` installs of a longer row count. The model follows Keras' global dtype
    policy; its logit is float32 under mixed precision, too.
    """
    token_ids = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    last = KeepLastInstalls(config.max_sequence_length, name="last_installs")(token_ids)
    encoded = TransformerEncoder(
        vocabulary_size=config.vocabulary_size,
        hidden_dim=config.hidden_dim,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        intermediate_dim=config.intermediate_dim,
        context_width=config.context_width,
        dropout=config.dropout,
        name="encoder",
    )(last)
    pooled = AttentionPooling(config.num_heads, name="pooling")(
        encoded, padding_mask=ops.not_equal(last, PAD_TOKEN_ID)
    )
    pooled = keras.layers.Dropout(config.dropout, name="head_dropout")(pooled)
    logit = keras.layers.Dense(1, dtype="float32", name="head")(pooled)  # (batch, 1)
    return keras.Model(token_ids, ops.squeeze(logit, axis=-1), name="risk_classifier")

"""The risk classifier: encoder, pooling, head.

In   token ids, padded at the end with zeros   int32 (batch, sequence)
Out  one logit per user                        float32 (batch,)
"""

from dataclasses import dataclass

import keras
from keras import ops

from jobs.encoder.encoder import TransformerEncoder
from jobs.encoder.masked_average_pooling import MaskedAveragePooling


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the classifier, checked when built.

    Raises:
        ValueError: naming the setting, what it may be, and what it was.
    """

    vocabulary_size: int  # special tokens included
    max_sequence_length: int = (
        128  # installs; the model itself has no limit, training and scoring keep the last ones
    )
    hidden_dim: int = 64
    num_layers: int = 2
    num_heads: int = 4
    intermediate_dim: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for setting, smallest in (
            ("vocabulary_size", 3),  # padding, unknown app, pretraining mask
            ("max_sequence_length", 1),
            ("hidden_dim", 1),
            ("num_layers", 1),
            ("num_heads", 1),
            ("intermediate_dim", 1),
        ):
            value = getattr(self, setting)
            if value < smallest:
                raise ValueError(f"{setting} must be at least {smallest}, got {value}")
        if self.hidden_dim % self.num_heads:
            sizes = f"num_heads={self.num_heads} and hidden_dim={self.hidden_dim}"
            raise ValueError(f"num_heads must divide hidden_dim, got {sizes}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")


def build_classifier(config: EncoderConfig) -> keras.Model:
    """Build the untrained classifier: token ids int32 `(batch, sequence)` to logit float32 `(batch,)`.

    Follows Keras' global dtype policy, except for the logit, which is float32 also under mixed precision.
    """
    token_ids = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    encoded = TransformerEncoder(
        vocabulary_size=config.vocabulary_size,
        hidden_dim=config.hidden_dim,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        intermediate_dim=config.intermediate_dim,
        dropout=config.dropout,
        name="encoder",
    )(token_ids)
    pooled = MaskedAveragePooling(name="pooling")(encoded, token_ids=token_ids)
    pooled = keras.layers.Dropout(config.dropout, name="head_dropout")(pooled)
    logit = keras.layers.Dense(1, dtype="float32", name="head")(pooled)  # (batch, 1)
    return keras.Model(token_ids, ops.squeeze(logit, axis=-1), name="risk_classifier")

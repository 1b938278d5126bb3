"""Token sequences and small classifiers to train on them."""

import keras
import numpy as np

from jobs.encoder.classifier import EncoderConfig
from jobs.sequences.token_sequences import TokenSequences
from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.named_weights import read_weights
from jobs.training.fit.options import TrainingOptions

SMALL = EncoderConfig(
    vocabulary_size=103, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=16, dropout=0.2
)
RISKY_TOKENS = 10  # the first apps
OPTIONS = TrainingOptions(seed=3, batch_size=32, learning_rate=0.01, max_epochs=16, patience=2)
Parts = tuple[EncoderConfig, LabelledSequences, LabelledSequences]  # sizes, training users, validation users


def made_up_users(users: int, seed: int) -> LabelledSequences:
    """Users of 1 to 40 installs; a larger share of risky apps makes label 1 likelier."""
    random = np.random.default_rng(seed)
    lengths = np.clip(random.lognormal(2.3, 0.6, users), 1, 40).astype(int)
    popularity = 1.0 / (10.0 + np.arange(100))
    values = 3 + random.choice(100, lengths.sum(), p=popularity / popularity.sum())
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    risk = np.add.reduceat((values < 3 + RISKY_TOKENS).astype(float), offsets[:-1]) / lengths
    labels = random.random(users) < 1.0 / (1.0 + np.exp(-8.0 * (risk - np.quantile(risk, 0.7))))
    return LabelledSequences(TokenSequences.join(values.astype(np.int32), lengths), labels.astype(np.int8))


def build_average(config: EncoderConfig) -> keras.Model:
    """A classifier that compiles fast: the mean embedding, without dropout."""
    token_ids = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(config.vocabulary_size, 4, name="embedding")(token_ids)
    logit = keras.layers.Dense(1, name="head")(keras.ops.mean(embedded, axis=1))
    return keras.Model(token_ids, keras.ops.squeeze(logit, axis=-1))


def assert_same_weights(one: keras.Model, other: keras.Model) -> None:
    """Compare all weights to the last bit."""
    others = read_weights(other)
    for path, weight in read_weights(one).items():
        np.testing.assert_array_equal(weight, others[path], err_msg=path)

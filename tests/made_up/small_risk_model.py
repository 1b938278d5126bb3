"""Small risk models with every kind of member that real ones have."""

import keras
import numpy as np

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.encoder.layers.tfidf_regression import TfidfRegression
from jobs.encoder.ngram_hash import count_features
from jobs.encoder.risk_model import build_risk_model
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary

APPS = tuple(f"app {i}" for i in range(20))
VOCABULARY = Vocabulary(APPS)
MAX_SEQUENCE_LENGTH, MAX_HISTORY = 4, 6  # installs that the encoder and the linear members read
TOKENIZER = Tokenizer(VOCABULARY, MAX_HISTORY, reads_sessions=True)
WEIGHTS, INTERCEPT = (0.8, 0.6, 0.3), -0.4
# Rows of different lengths, with and without sessions, one longer than the encoder reads. Token 1 is an app
# that the vocabulary lacks.
TOKEN_ROWS = [[5], [-9, 7, -22], [-3, 4, 5, -6, 7, 8], [12, 1, 12, 4]]


def small_classifier(vocabulary_size: int = VOCABULARY.size) -> keras.Model:
    """An untrained classifier, with embeddings large enough for installs to change its logit."""
    config = EncoderConfig(
        vocabulary_size, MAX_SEQUENCE_LENGTH, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=16
    )
    return build_classifier(config)


def random_regression(max_order: int, vocabulary_size: int = VOCABULARY.size) -> TfidfRegression:
    """Random coefficients for all n-grams; installs of app 0, token 3, are ignored."""
    random = np.random.default_rng(max_order)
    features = count_features(vocabulary_size, max_order)
    layer = TfidfRegression(vocabulary_size, max_order, name=f"order_{max_order}")
    idf = random.uniform(1, 3, features)
    idf[3:4] = 0.0
    layer.fill(idf, random.normal(size=features), intercept=-0.5)
    return layer


def small_risk_model(vocabulary_size: int = VOCABULARY.size) -> keras.Model:
    """An encoder, a bag of apps and bigrams."""
    keras.utils.set_random_seed(5)
    members = [
        small_classifier(vocabulary_size),
        random_regression(1, vocabulary_size),
        random_regression(2, vocabulary_size),
    ]
    return build_risk_model(members, WEIGHTS, INTERCEPT, MAX_HISTORY)


def padded(rows: list[list[int]], width: int = 0) -> np.ndarray:
    """int32, zeros at the end."""
    width = max(width, *map(len, rows))
    return np.array([row + [0] * (width - len(row)) for row in rows], np.int32)

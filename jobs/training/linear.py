"""Linear members: tf-idf of n-grams of tokens, then logistic regression.

In   token sequences and labels of training users
Out  a fitted model, token sequences -> logits; its arrays fill the layer TfidfRegression
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from jobs.encoder.layers.tfidf_regression import TfidfRegression
from jobs.encoder.ngram_hash import count_features, hash_ngrams
from jobs.sequences.token_sequences import TokenSequences
from jobs.training_set.weighted_sample import draw_weighted_sample

CS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # inverse strengths of the penalty to choose from, strongest first
# Longest n-grams to choose from, in installs. Where long sequences hold few different apps, such as system
# calls or page views, 6-grams rank far better than 3-grams. Where short ones hold many, they only add noise.
BAG_ORDER, NGRAM_ORDERS = 1, (3, 6)
MIN_USERS = 2  # with a feature: one user alone is no evidence
MAX_ITERATIONS = 1_000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearModel:
    """A fitted regression over all features, most of them with coefficient 0."""

    vocabulary_size: int
    max_order: int
    c: float  # inverse strength of the penalty
    idf: NDArray[np.float32]  # (features,); 0 where a feature is ignored
    coefficients: NDArray[np.float32]  # (features,)
    intercept: float

    def predict_logits(self, tokens: TokenSequences) -> Floats:
        """Logits, `(examples,)`."""
        return np.concatenate([np.empty(0), *map(self._predict, tokens.chunks())])

    def _predict(self, tokens: TokenSequences) -> Floats:
        features = weigh(count_ngrams(tokens, self.vocabulary_size, self.max_order), self.idf)
        return np.asarray(features @ self.coefficients, dtype=np.float64) + self.intercept

    def to_layer(self, name: str) -> TfidfRegression:
        """Build the Keras layer that computes the same logits."""
        layer = TfidfRegression(self.vocabulary_size, self.max_order, name=name)
        layer.fill(self.idf, self.coefficients, self.intercept)
        return layer


def count_ngrams(tokens: TokenSequences, vocabulary_size: int, max_order: int) -> csr_matrix:
    """Count each user's n-grams of order 1 to `max_order`: `(examples, features)`."""
    rows, columns = [], []
    values = tokens.tokens  # n-grams ignore sessions
    user = np.repeat(np.arange(len(tokens)), tokens.lengths)
    for order in range(1, max_order + 1):
        starts = max(len(user) - order + 1, 0)
        within_user = user[:starts] == user[order - 1 :]
        installs = [values[i : starts + i] for i in range(order)]
        rows.append(user[:starts][within_user])
        columns.append(hash_ngrams(installs, vocabulary_size)[within_user])
    row, column = np.concatenate(rows), np.concatenate(columns)
    counts = csr_matrix(
        (np.ones(len(row), np.float32), (row, column)),
        shape=(len(tokens), count_features(vocabulary_size, max_order)),
    )
    counts.sum_duplicates()
    return counts


def weigh(counts: csr_matrix, idf: NDArray[np.float32]) -> csr_matrix:
    """Tf-idf weights of each user, scaled to length 1."""
    transformer = TfidfTransformer(sublinear_tf=True, norm="l2")
    transformer.idf_ = idf
    return transformer.transform(counts)


def inverse_document_frequency(counts: csr_matrix) -> NDArray[np.float32]:
    """`ln((1 + users) / (1 + users with the feature)) + 1`; 0 for features of fewer than MIN_USERS users."""
    users = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log((1 + counts.shape[0]) / (1 + users)) + 1.0
    return np.where(users >= MIN_USERS, idf, 0.0).astype(np.float32)


def fit_linear(
    tokens: TokenSequences, labels: NDArray[np.int8], vocabulary_size: int, max_order: int, c: float
) -> LinearModel:
    """Fit one model on at most 50,000 users; a larger `c` is a weaker penalty."""
    chosen = draw_weighted_sample(labels)
    counts = count_ngrams(tokens.take(chosen.indices), vocabulary_size, max_order)
    idf = inverse_document_frequency(counts)
    used = np.flatnonzero(idf)
    # Only the columns in use: the solver's time grows with their number.
    features = weigh(counts, idf)[:, used]
    # Dual coordinate descent (Hsieh et al., 2008) is ten times as fast as the default solver with many sparse
    # features.
    regression = LogisticRegression(
        C=c, solver="liblinear", dual=True, max_iter=MAX_ITERATIONS, random_state=0
    ).fit(features, labels[chosen.indices], chosen.weights)
    coefficients = np.zeros(counts.shape[1], np.float32)
    coefficients[used] = regression.coef_[0]
    return LinearModel(vocabulary_size, max_order, c, idf, coefficients, float(regression.intercept_[0]))

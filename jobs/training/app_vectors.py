"""Vectors of apps from the company they keep, to start the encoder's embeddings from.

In   token sequences of training users, labelled or not
Out  float32 (vocabulary_size, hidden_dim): apps that are installed near each other point the same way

Positive pointwise mutual information of apps within a few installs of each other, reduced by a singular value
decomposition: what word2vec does implicitly (Levy and Goldberg, 2014, "Neural Word Embedding as Implicit Matrix
Factorization"), in seconds and with the same result on every run.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.utils.extmath import randomized_svd

from jobs.encoder.tokens import FIRST_APP_TOKEN_ID
from jobs.training.token_sequences import TokenSequences

WINDOW = 5  # installs; a pair k installs apart counts 1/k
# Context counts to this power: rare neighbours say less than they seem to (Levy, Goldberg and Dagan, 2015, §3.2).
CONTEXT_SMOOTHING = 0.75
SHRINKAGE_INSTALLS = (
    10.0  # an app installed this often gets half the length of a frequent one: less is known of it
)


def fit_app_vectors(
    tokens: TokenSequences, vocabulary_size: int, hidden_dim: int, seed: int
) -> NDArray[np.float32]:
    """Vectors with a mean square of `1 / hidden_dim` in each coordinate, as random embeddings have.

    Special tokens, and apps without a neighbour, get zeros. With fewer apps than `hidden_dim` the last coordinates
    are zeros.
    """
    association = positive_mutual_information(count_neighbours(tokens, vocabulary_size))
    vectors = np.zeros((vocabulary_size, hidden_dim), np.float32)
    components = min(hidden_dim, vocabulary_size - 1)
    left, singular_values, _ = randomized_svd(association, components, random_state=seed)
    # Chance alone gives every coordinate about the same length, and the last one holds little else. Shorter by that much,
    # those of chance are nearly nothing (soft thresholding: Cai, Candes and Shen, 2010, https://arxiv.org/abs/0810.3286);
    # an encoder would tell apps by them, and learn users by heart.
    vectors[:, :components] = left * (singular_values - singular_values[-1])
    vectors[:FIRST_APP_TOKEN_ID] = 0.0
    counts = tokens.count(vocabulary_size)
    lengths = np.linalg.norm(vectors, axis=1)
    shrunk = counts / (counts + SHRINKAGE_INSTALLS)
    vectors *= np.divide(shrunk, lengths, out=np.zeros(vocabulary_size), where=lengths > 0)[:, None]
    # Weighed by how often apps occur: these are the sizes that the encoder meets.
    mean_square = np.average(np.mean(np.square(vectors), axis=1), weights=counts)
    if mean_square > 0:
        vectors /= math.sqrt(mean_square * hidden_dim)
    return vectors


def count_neighbours(tokens: TokenSequences, vocabulary_size: int) -> coo_matrix:
    """How often two tokens occur within WINDOW installs of a user, nearer ones counting more; symmetric."""
    counts = csr_matrix((vocabulary_size, vocabulary_size))
    for part in tokens.chunks():
        user, values = np.repeat(np.arange(len(part)), part.lengths), np.abs(part.values)
        neighbours = []
        for distance in range(1, WINDOW + 1):
            same_user = user[distance:] == user[:-distance]
            pair = values[distance:][same_user], values[:-distance][same_user]
            neighbours.append((*pair, np.full(len(pair[0]), 1.0 / distance)))
        rows, columns, shares = (np.concatenate(column) for column in zip(*neighbours, strict=True))
        counts += csr_matrix((shares, (rows, columns)), shape=counts.shape)
    return (counts + counts.T).tocoo()


def positive_mutual_information(neighbours: coo_matrix) -> csr_matrix:
    """`max(0, log(P(app, context) / (P(app) P(context))))` for each pair that occurs."""
    apps = np.asarray(neighbours.sum(axis=1)).ravel()
    contexts = apps**CONTEXT_SMOOTHING
    expected = apps[neighbours.row] * contexts[neighbours.col] / contexts.sum()
    information = np.log(neighbours.data / expected)
    positive = information > 0
    return csr_matrix(
        (information[positive], (neighbours.row[positive], neighbours.col[positive])), shape=neighbours.shape
    )

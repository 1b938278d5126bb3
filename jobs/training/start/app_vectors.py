"""App embeddings from co-occurrence, as starting weights of the encoder.

In   token sequences of training users, labelled or not
Out  float32 (vocabulary_size, hidden_dim): apps that are installed near each other have similar directions

Regularised correspondence analysis of how often apps occur within a few installs of each other: their counts,
relative to those expected by chance from both frequencies, reduced by a singular value decomposition
(Greenacre, 1984, "Theory and Applications of Correspondence Analysis"; Amini et al., 2013, "Pseudo-likelihood
methods for community detection in large sparse networks"). It takes seconds and is deterministic.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array
from scipy.stats import ortho_group
from sklearn.utils.extmath import randomized_svd

from jobs.encoder.tokens import FIRST_APP_TOKEN_ID
from jobs.sequences.token_sequences import TokenSequences

WINDOW = 5  # installs; a pair k installs apart counts 1/k
# An app with this many installs gets half the length of a frequent one: less is known of it.
SHRINKAGE_INSTALLS = 10.0


def fit_app_vectors(
    tokens: TokenSequences, vocabulary_size: int, hidden_dim: int, seed: int
) -> NDArray[np.float32]:
    """Fit vectors with a mean square of `1 / hidden_dim` in each coordinate, as random embeddings have.

    Special tokens, and apps without a neighbour, get zeros.
    """
    association, by_chance = associate(count_neighbours(tokens, vocabulary_size))
    vectors = np.zeros((vocabulary_size, hidden_dim), np.float32)
    components = min(hidden_dim, vocabulary_size - 1)
    left, singular_values, _ = randomized_svd(association, components, random_state=seed)
    # Frequent apps are near all others, which says nothing about their kind.
    left -= np.outer(by_chance, by_chance @ left)
    # Noise gives all coordinates about the same length, and the last one holds little else. Shortened by that
    # length, coordinates of noise nearly vanish (soft thresholding: Cai, Candes and Shen, 2010,
    # https://arxiv.org/abs/0810.3286). Otherwise an encoder would tell apps apart by noise, and memorise
    # users.
    vectors[:, :components] = left * (singular_values - singular_values[-1])
    # A few coordinates hold nearly everything, so dropout could remove the whole difference between two kinds
    # of apps. A random rotation spreads the information over all coordinates: 0.001 to 0.015 AUC for the
    # encoder alone.
    vectors @= ortho_group.rvs(hidden_dim, random_state=seed).astype(np.float32)
    vectors[:FIRST_APP_TOKEN_ID] = 0.0
    counts = tokens.count(vocabulary_size)
    lengths = np.linalg.norm(vectors, axis=1)
    shrunk = counts / (counts + SHRINKAGE_INSTALLS)
    vectors *= np.divide(shrunk, lengths, out=np.zeros(vocabulary_size), where=lengths > 0)[:, None]
    # Weighted by frequency of the apps: these are the sizes that the encoder reads.
    mean_square = np.average(np.mean(np.square(vectors), axis=1), weights=counts)
    if mean_square > 0:
        vectors /= math.sqrt(mean_square * hidden_dim)
    return vectors


def count_neighbours(tokens: TokenSequences, vocabulary_size: int) -> csr_matrix:
    """Count pairs of tokens within WINDOW installs of a user, nearer ones with more weight; symmetric."""
    counts = csr_matrix((vocabulary_size, vocabulary_size))
    for part in tokens.chunks():
        user, values = np.repeat(np.arange(len(part)), part.lengths), part.tokens
        neighbours = []
        for distance in range(1, WINDOW + 1):
            same_user = user[distance:] == user[:-distance]
            pair = values[distance:][same_user], values[:-distance][same_user]
            neighbours.append((*pair, np.full(len(pair[0]), 1.0 / distance)))
        rows, columns, shares = (np.concatenate(column) for column in zip(*neighbours, strict=True))
        counts += csr_matrix((shares, (rows, columns)), shape=counts.shape)
    return csr_matrix(counts + counts.T)


def associate(neighbours: csr_matrix) -> tuple[csr_matrix, NDArray[np.float64]]:
    """Association `n_ab / sqrt((n_a + m) (n_b + m))` of apps, and its direction under independence.

    `n_a` is the sum of `n_ab` over `b`, and `m` the mean of these sums. Without `m`, two rare apps that only
    occur together, by chance, would be as close as possible and fill a coordinate. It is at least 1, for
    users of one install each. If apps were independent, `n_ab` would be `n_a n_b / n`: all singular values
    but one would be 0. The vector of that one, of length 1, is the direction.
    """
    frequency = np.asarray(neighbours.sum(axis=1)).ravel()
    scale = 1.0 / np.sqrt(frequency + max(frequency.mean(), 1.0))
    association = csr_matrix(diags_array(scale) @ neighbours @ diags_array(scale))
    by_chance = scale * frequency
    return association, by_chance / max(np.linalg.norm(by_chance), 1.0)

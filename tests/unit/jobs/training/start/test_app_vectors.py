"""App embeddings from co-occurrence."""

import numpy as np

from jobs.sequences.token_sequences import TokenSequences
from jobs.training.start.app_vectors import associate, count_neighbours, fit_app_vectors
from tests.made_up.ragged import sequences_of


def two_topics(users: int = 200) -> TokenSequences:
    """Users who install either tokens 3 to 7 or tokens 8 to 12."""
    random = np.random.default_rng(3)
    topics = random.integers(0, 2, users)
    return sequences_of([random.integers(3 + 5 * topic, 8 + 5 * topic, 8).tolist() for topic in topics])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_apps_of_one_topic_point_the_same_way():
    vectors = fit_app_vectors(two_topics(), vocabulary_size=13, hidden_dim=4, seed=1)
    same = [cosine(vectors[3], vectors[other]) for other in (4, 5, 6, 7)]
    different = [cosine(vectors[3], vectors[other]) for other in range(8, 13)]
    assert min(same) > 0.5 > max(different)


def test_vectors_are_as_large_as_random_embeddings_where_apps_occur():
    tokens = two_topics()
    vectors = fit_app_vectors(tokens, vocabulary_size=13, hidden_dim=4, seed=1)
    assert np.isclose(np.mean(np.square(vectors[tokens.values])), 1 / 4)


def test_special_tokens_and_apps_that_never_occur_get_zeros():
    vectors = fit_app_vectors(two_topics(), vocabulary_size=20, hidden_dim=4, seed=1)
    assert not vectors[:3].any()
    assert not vectors[13:].any()


def test_the_same_users_give_the_same_vectors():
    once, again = (fit_app_vectors(two_topics(), 13, 4, seed=1) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_there_may_be_fewer_apps_than_dimensions():
    vectors = fit_app_vectors(sequences_of([[3, 4, 3]]), vocabulary_size=5, hidden_dim=8, seed=1)
    assert vectors.shape == (5, 8)
    assert np.isfinite(vectors).all()


def test_users_of_one_install_have_no_neighbours():
    vectors = fit_app_vectors(sequences_of([[3], [4], [5]]), vocabulary_size=6, hidden_dim=2, seed=1)
    np.testing.assert_array_equal(vectors, np.zeros((6, 2)))


def test_nearer_neighbours_count_more_and_no_pair_reaches_across_users():
    counts = count_neighbours(sequences_of([[3, 4, 5], [6]]), vocabulary_size=7).toarray()
    assert counts[3, 4] == counts[4, 3] == 1.0
    assert counts[3, 5] == 0.5
    assert counts[6].sum() == 0


def test_two_topics_fill_one_direction_and_noise_adds_little():
    vectors = fit_app_vectors(two_topics(), vocabulary_size=13, hidden_dim=8, seed=1)
    energy = np.square(np.linalg.svd(vectors, compute_uv=False))
    assert energy[0] > 0.99 * energy.sum()  # 0.989 without shortening the coordinates of noise


def test_the_difference_between_two_topics_is_spread_over_coordinates():
    vectors = fit_app_vectors(two_topics(), vocabulary_size=13, hidden_dim=32, seed=1)
    energy = np.square(vectors).sum(axis=0)
    assert energy.max() < 0.25 * energy.sum()  # 0.50 in the coordinates of the singular value decomposition


def test_two_rare_apps_that_only_occur_together_are_not_as_close_as_possible():
    neighbours = count_neighbours(sequences_of([[3, 4]] * 50 + [[5, 6]]), vocabulary_size=7)
    association = associate(neighbours)[0].toarray()
    assert association[5, 6] < 0.1 < 0.7 < association[3, 4]

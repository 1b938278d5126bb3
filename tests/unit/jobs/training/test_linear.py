"""Linear members against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from jobs.training.linear import count_ngrams, fit_linear
from tests.made_up.ragged import sequences_of

VOCABULARY_SIZE = 9
ROWS = st.lists(st.lists(st.integers(3, 8), min_size=0, max_size=7), min_size=1, max_size=5)


def made_up_rows(users: int) -> tuple[list[list[int]], np.ndarray]:
    """Users with label 1 tend to have token 3 before token 4."""
    random = np.random.default_rng(4)
    labels = (random.random(users) < 0.4).astype(np.int8)
    rows = [
        random.integers(3, 9, random.integers(2, 12)).tolist() + ([3, 4] if label else [4, 3])
        for label in labels
    ]
    return rows, labels


@settings(max_examples=50, deadline=None)
@given(rows=ROWS)
def test_every_ngram_is_counted(rows):
    counts = count_ngrams(sequences_of(rows), VOCABULARY_SIZE, 3)
    expected = [sum(max(len(row) - order + 1, 0) for order in (1, 2, 3)) for row in rows]
    np.testing.assert_array_equal(np.asarray(counts.sum(axis=1)).ravel(), expected)


def test_no_ngram_reaches_from_one_user_into_the_next():
    together = count_ngrams(sequences_of([[3, 4], [5, 6]]), VOCABULARY_SIZE, 2)
    alone = [count_ngrams(sequences_of([row]), VOCABULARY_SIZE, 2) for row in ([3, 4], [5, 6])]
    for user, row in enumerate(alone):
        assert (together[user] != row).nnz == 0


@pytest.mark.parametrize("max_order", [1, 3])
def test_the_logits_are_those_of_scikit_learns_pipeline(max_order):
    rows, labels = made_up_rows(200)
    vectorizer = TfidfVectorizer(
        analyzer=lambda row: [
            tuple(row[i : i + n]) for n in range(1, max_order + 1) for i in range(len(row) - n + 1)
        ],
        sublinear_tf=True,
        min_df=2,
    )
    regression = LogisticRegression(C=1.0, solver="liblinear", dual=True, random_state=0).fit(
        vectorizer.fit_transform(rows), labels
    )
    model = fit_linear(sequences_of(rows), labels, VOCABULARY_SIZE, max_order, 1.0)
    others, _ = made_up_rows(60)
    np.testing.assert_allclose(
        model.predict_logits(sequences_of(others)),
        regression.decision_function(vectorizer.transform(others)),
        atol=2e-3,
    )


def test_the_layer_scores_as_the_model_does():
    rows, labels = made_up_rows(100)
    model = fit_linear(sequences_of(rows), labels, VOCABULARY_SIZE, 2, 1.0)
    tokens = sequences_of(rows)
    padded = tokens.padded(np.arange(len(tokens)))
    np.testing.assert_allclose(model.to_layer("linear")(padded), model.predict_logits(tokens), atol=1e-5)


def test_a_stronger_penalty_keeps_coefficients_smaller():
    rows, labels = made_up_rows(100)
    weak, strong = (fit_linear(sequences_of(rows), labels, VOCABULARY_SIZE, 1, c) for c in (10.0, 0.1))
    assert np.abs(strong.coefficients).sum() < np.abs(weak.coefficients).sum()


def test_ngrams_of_one_user_alone_are_ignored():
    rows = [[3, 4], [3, 5], [3, 4], [3, 6]]
    model = fit_linear(sequences_of(rows), np.array([0, 1, 0, 1], np.int8), VOCABULARY_SIZE, 1, 1.0)
    assert (model.idf[[5, 6]] == 0).all()
    assert (model.idf[[3, 4]] > 0).all()

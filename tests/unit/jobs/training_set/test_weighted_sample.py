"""A weighted sample of users for fitting regressions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from jobs.sequences.token_sequences import TokenSequences
from jobs.training.linear import fit_linear
from jobs.training_set import weighted_sample
from jobs.training_set.weighted_sample import draw_weighted_sample


@pytest.fixture(autouse=True, scope="module")
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighted_sample, "LARGEST_SAMPLE", 40)
        yield


@given(numpy_strategies.arrays(np.int8, st.integers(1, 200), elements=st.integers(0, 1)))
def test_the_weighted_bad_rate_is_that_of_all_users(labels):
    chosen = draw_weighted_sample(labels)
    assert len(chosen.indices) == len(set(chosen.indices.tolist())) == min(len(labels), 40)
    assert chosen.weights.mean() == pytest.approx(1.0)
    assert np.average(labels[chosen.indices], weights=chosen.weights) == pytest.approx(labels.mean())


def test_all_of_the_rarer_label_are_chosen_up_to_half_and_the_rest_evenly():
    labels = (np.arange(1_000) % 100 == 0).astype(np.int8)
    chosen = draw_weighted_sample(labels)
    assert labels[chosen.indices].sum() == 10
    assert np.diff(chosen.indices[labels[chosen.indices] == 0]).max() < 40
    assert draw_weighted_sample(np.arange(1_000) % 2 == 0).weights.tolist() == [1.0] * 40


def test_a_regression_on_the_sample_has_the_level_of_all_users():
    random = np.random.default_rng(0)
    labels = (random.random(4_000) < 0.02).astype(np.int8)
    values = random.integers(3, 6, 8_000).astype(np.int32)
    tokens = TokenSequences.join(values, np.full(4_000, 2))
    logits = fit_linear(tokens, labels, 6, 1, c=10.0).predict_logits(tokens)
    assert (1.0 / (1.0 + np.exp(-logits))).mean() == pytest.approx(labels.mean(), abs=0.02)
    assert labels[draw_weighted_sample(labels).indices].mean() > 0.4  # unweighted it would be near this

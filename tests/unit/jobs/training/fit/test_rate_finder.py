"""The learning-rate range test."""

import keras
import numpy as np
import pytest

from jobs.encoder.classifier import EncoderConfig
from jobs.training.curves import draw_rate_search
from jobs.training.fit.classifier import StartingPoint
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.rate_finder import RateRange, RateSearch, find_learning_rate, suggest_rate
from tests.made_up.labelled_sequences import SMALL, build_average, made_up_users

TRAIN = made_up_users(100, seed=1)


def build_unstable(config: EncoderConfig) -> keras.Model:
    """A classifier that diverges at high rates: Adam's steps are multiplied by 1000."""
    token_ids = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(config.vocabulary_size, 4)(token_ids)
    logit = keras.layers.Dense(1)(keras.ops.mean(embedded, axis=1) * 1000.0)
    return keras.Model(token_ids, keras.ops.squeeze(logit, axis=-1))


@pytest.fixture(scope="module")
def search() -> RateSearch:
    options = TrainingOptions(batch_size=32)
    return find_learning_rate(
        SMALL,
        options,
        TRAIN,
        StartingPoint(build=build_average),
        RateRange(lowest=1e-4, highest=1.0, steps=30),
    )


def test_rates_grow_by_the_same_factor_from_the_lowest_to_the_highest(search):
    assert search.rates[0] == pytest.approx(1e-4)
    assert search.rates[-1] == pytest.approx(1.0)
    np.testing.assert_allclose(search.rates[1:] / search.rates[:-1], 10 ** (4 / 29))


def test_the_suggested_rate_is_one_at_which_the_loss_falls(search):
    assert search.losses[-1] < search.losses[0]
    assert 1e-3 < search.suggestion < 1.0


def test_the_same_seed_finds_the_same_losses(search):
    options = TrainingOptions(batch_size=32)
    again = find_learning_rate(
        SMALL, options, TRAIN, StartingPoint(build=build_average), RateRange(lowest=1e-4, steps=30)
    )
    np.testing.assert_array_equal(search.losses, again.losses)


def test_the_search_stops_when_the_loss_explodes():
    exploded = find_learning_rate(
        SMALL,
        TrainingOptions(batch_size=32),
        TRAIN,
        StartingPoint(build=build_unstable),
        RateRange(lowest=1e-6, highest=100.0, steps=60),
    )
    assert 2 <= len(exploded.losses) < 60
    assert len(exploded.rates) == len(exploded.losses)
    assert exploded.losses.max() <= 4 * exploded.losses.min()


def test_the_steepest_descent_is_measured_by_the_logarithm_of_the_rate():
    rates = np.geomspace(1e-5, 1.0, 6)
    assert suggest_rate(rates, np.array([0.7, 0.7, 0.6, 0.3, 0.2, 0.9])) == pytest.approx(1e-3)


def test_a_loss_that_explodes_at_once_is_refused():
    with pytest.raises(ValueError, match=r"exploded after 1 steps, start at a lower rate than 0\.5"):
        suggest_rate(np.array([0.5]), np.array([0.7]))


def test_the_figure_shows_losses_by_rate_and_the_suggestion(search):
    (axes,) = draw_rate_search(search).axes
    curve, suggestion = axes.lines
    np.testing.assert_array_equal(curve.get_xdata(), search.rates)
    assert suggestion.get_xdata()[0] == search.suggestion
    assert axes.get_xscale() == "log"

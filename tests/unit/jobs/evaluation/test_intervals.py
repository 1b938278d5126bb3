"""Bootstrap intervals over users."""

from dataclasses import asdict, astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.evaluation import intervals
from jobs.evaluation.intervals import Bootstrap, Interval, measure_weighted
from jobs.evaluation.metrics import BinaryMetrics, measure
from jobs.evaluation.ranking import cut_into_groups, decile_table, rank

# label, score in quarters (so that some are equal), how often the user is drawn
USERS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 3)), min_size=10, max_size=50)


def scored_users(users: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn with the very probabilities that are the scores."""
    random = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-random.normal(-1.0, 1.5, users)))
    return (random.random(users) < scores).astype(np.int8), scores


@settings(deadline=None)
@given(USERS)
def test_weighted_metrics_are_those_of_repeated_rows(users):
    labels, quarters, weights = np.array([(0, 2, 1), (1, 2, 1), *users]).T
    scores = quarters / 4
    weighted = measure_weighted(rank(labels, scores), weights)
    repeated = measure(np.repeat(labels, weights), np.repeat(scores, weights))
    if weights.sum() < 10:  # fewer rows than deciles: the groups are others
        weighted, repeated = (BinaryMetrics(*astuple(each)[:-1], ece=0.0) for each in (weighted, repeated))
    assert asdict(weighted) == pytest.approx(asdict(repeated), abs=1e-12)


@settings(deadline=None)
@given(USERS)
def test_weighted_deciles_are_those_of_repeated_rows(users):
    labels, quarters, weights = np.array([(0, 2, 5), (1, 2, 5), *users]).T
    ranking = rank(labels, quarters / 4)
    groups = cut_into_groups(ranking, weights[ranking.order])
    repeated = decile_table(np.repeat(labels, weights), np.repeat(quarters / 4, weights))
    assert groups.users.tolist() == repeated["users"].tolist()
    np.testing.assert_allclose(groups.bad_rates, repeated["bad_rate"], atol=1e-12)
    np.testing.assert_allclose(groups.lifts, repeated["lift"], atol=1e-12)
    np.testing.assert_allclose(groups.mean_scores, repeated["mean_score"], atol=1e-12)


@settings(deadline=None)
@given(USERS)
def test_weighted_auc_is_the_share_of_pairs_in_the_right_order(users):
    labels, quarters, weights = np.array([(0, 2, 1), (1, 2, 1), *users]).T
    bads, goods = (np.repeat(quarters, weights * (labels == label)) for label in (1, 0))
    right = (bads[:, None] > goods).mean() + 0.5 * (bads[:, None] == goods).mean()
    assert measure_weighted(rank(labels, quarters / 4), weights).auc == pytest.approx(right)


def test_every_metric_has_an_interval_around_its_value():
    labels, scores = scored_users()
    measured = Bootstrap(labels, resamples=200).metrics(scores)
    assert {name: each.value for name, each in measured.items()} == asdict(measure(labels, scores))
    for name in ("auc", "gini", "ks", "pr_auc", "log_loss", "brier"):
        assert measured[name].low < measured[name].value < measured[name].high
    assert measured["gini"].low == pytest.approx(2 * measured["auc"].low - 1)
    assert all(type(figure) is float for figure in astuple(measured["auc"]))  # JSON takes no numpy numbers


def test_the_interval_of_a_mean_has_the_width_of_its_normal_approximation():
    labels, scores = scored_users(2000)
    brier = Bootstrap(labels).metrics(scores)["brier"]
    half_width = 1.96 * ((scores - labels) ** 2).std() / np.sqrt(2000)
    assert brier.low == pytest.approx(brier.value - half_width, abs=0.1 * half_width)
    assert brier.high == pytest.approx(brier.value + half_width, abs=0.1 * half_width)


def test_more_users_make_intervals_narrower():
    widths = []
    for users in (200, 3200):
        labels, scores = scored_users(users)
        auc = Bootstrap(labels, resamples=300).metrics(scores)["auc"]
        widths.append(auc.high - auc.low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.3)  # by the root of 16 times the users


def test_more_examples_of_one_user_do_not_make_intervals_narrower():
    labels, scores = scored_users(200)
    user_ids = np.array([f"u{i:03d}" for i in range(200)], object)
    once = Bootstrap(labels, user_ids, 50).metrics(scores)
    thrice = Bootstrap(np.tile(labels, 3), np.tile(user_ids, 3), 50).metrics(np.tile(scores, 3))
    for name, interval in once.items():
        assert astuple(thrice[name]) == pytest.approx(astuple(interval))
    deciles = [
        Bootstrap(np.tile(labels, times), np.tile(user_ids, times), 50).deciles(np.tile(scores, times))
        for times in (1, 3)
    ]
    np.testing.assert_allclose(*(each.drop(columns="users") for each in deciles), atol=1e-12)
    # Counted as separate users, they would make the interval narrower.
    rows = Bootstrap(np.tile(labels, 3), resamples=50).metrics(np.tile(scores, 3))["auc"]
    assert rows.high - rows.low < 0.75 * (once["auc"].high - once["auc"].low)


def test_a_resample_draws_all_examples_of_a_user_together_and_keeps_the_number_of_users():
    user_ids = np.array(["b", "a", "b", "c", "c", "b"], object)
    labels = np.array([0, 1, 1, 0, 1, 0], np.int8)
    for weights in Bootstrap(labels, user_ids, resamples=50).weights():
        assert weights[0] == weights[2] == weights[5]
        assert weights[3] == weights[4]
        assert weights[0] + weights[1] + weights[3] == 3


def test_resamples_hold_both_labels_and_follow_the_seed():
    labels = np.array([1, 0, 0], np.int8)
    drawn = list(Bootstrap(labels, resamples=100, seed=1).weights())
    assert len(drawn) == 100
    assert all(weights[0] > 0 and weights[1:].any() for weights in drawn)
    np.testing.assert_array_equal(drawn, list(Bootstrap(labels, resamples=100, seed=1).weights()))
    assert not np.array_equal(drawn, list(Bootstrap(labels, resamples=100, seed=2).weights()))


def test_labels_of_one_kind_are_refused_before_any_draw():
    with pytest.raises(ValueError, match="need labels 0 and 1, both"):
        Bootstrap(np.zeros(5, np.int8))


def test_figures_of_one_seed_stay_what_they_were():
    # Printed by an earlier version, which drew anew for every figure.
    labels, scores = scored_users(300, seed=4)
    bootstrap = Bootstrap(
        labels, np.array([f"u{i % 200}" for i in range(300)], object), resamples=200, seed=7
    )
    metrics = bootstrap.metrics(scores)
    assert astuple(metrics["auc"]) == (0.8022479465872521, 0.7523885005036747, 0.8461487604131899)
    assert astuple(metrics["ks"]) == (0.47595946010855467, 0.409702848155474, 0.5835727739389067)
    assert astuple(metrics["ece"]) == (0.04538995649691418, 0.04275368142487206, 0.11684387394261075)
    difference = bootstrap.difference(scores, to_noisy(scores))["log_loss"]
    assert astuple(difference) == pytest.approx(
        (-0.04804557542296484, -0.0927738694754279, -0.0026057127228206888, 0.02392960601359411, 0.98)
    )
    assert bootstrap.deciles(scores).iloc[0][["bad_rate_low", "bad_rate_high"]].tolist() == [
        0.6201724137931035,
        0.9333333333333333,
    ]
    every_third = bootstrap.of(np.arange(0, 300, 3)).metrics(scores[::3])["auc"]
    assert astuple(every_third) == (0.8769100169779286, 0.8047771487856505, 0.9347771139705882)


def test_weights_too_large_to_keep_are_drawn_again_with_the_same_result(monkeypatch):
    labels, _ = scored_users(50)
    kept = list(Bootstrap(labels, resamples=20, seed=3).weights())
    monkeypatch.setattr(intervals, "KEPT_WEIGHTS", 999)
    fresh = Bootstrap(labels, resamples=20, seed=3)
    for _ in range(2):
        np.testing.assert_array_equal(kept, list(fresh.weights()))
    assert "_kept" not in vars(fresh)


def test_decile_bounds_surround_the_bad_rates_and_lifts_of_the_table():
    labels, scores = scored_users(1000)
    deciles = Bootstrap(labels, resamples=200).deciles(scores)
    assert deciles[list(decile_table(labels, scores))].equals(decile_table(labels, scores))
    assert (deciles["bad_rate_low"] <= deciles["bad_rate"]).all()
    assert (deciles["bad_rate"] <= deciles["bad_rate_high"]).all()
    # A tenth of 1,000 users: 1.96 standard errors of a share of 100.
    top = deciles.iloc[0]
    half_width = 1.96 * np.sqrt(top["bad_rate"] * (1 - top["bad_rate"]) / 100)
    assert top["bad_rate_high"] - top["bad_rate_low"] == pytest.approx(2 * half_width, rel=0.3)
    assert (deciles["lift_low"] <= deciles["lift"]).all()
    assert (deciles["lift"] <= deciles["lift_high"]).all()


@pytest.mark.filterwarnings("error")
def test_users_with_few_examples_may_leave_deciles_empty():
    user_ids = np.array(["a"] * 12 + ["b"] * 2, object)  # b drawn twice: 4 examples for 10 deciles
    labels = np.tile([0, 1], 7).astype(np.int8)
    deciles = Bootstrap(labels, user_ids, 50).deciles(np.linspace(0, 1, 14))
    assert deciles.notna().all(axis=None)


def test_a_model_does_not_differ_from_itself():
    labels, scores = scored_users()
    for difference in Bootstrap(labels, resamples=50).difference(scores, scores).values():
        assert astuple(difference) == (0.0, 0.0, 0.0, 0.0, 0.5)
        assert not difference.is_sure


def test_a_better_challenger_has_higher_auc_and_lower_losses():
    labels, scores = scored_users(1000)
    worse = to_noisy(scores)
    differences = Bootstrap(labels, resamples=200).difference(scores, worse)
    assert list(differences) == ["auc", "log_loss", "brier"]
    assert 0 < differences["auc"].low < differences["auc"].value < differences["auc"].high
    assert differences["log_loss"].high < 0
    assert differences["brier"].high < 0
    # A higher AUC and lower losses are better.
    assert {name: (each.share_better, each.is_sure) for name, each in differences.items()} == {
        "auc": (1.0, True),
        "log_loss": (1.0, True),
        "brier": (1.0, True),
    }
    reversed_ = Bootstrap(labels, resamples=200).difference(worse, scores)
    assert reversed_["auc"].low == pytest.approx(-differences["auc"].high)
    assert {each.share_better for each in reversed_.values()} == {0.0}


def test_resampling_the_same_users_for_both_models_makes_a_difference_sharper():
    labels, scores = scored_users(1000)
    similar = to_noisy(scores, deviation=0.2)
    difference = Bootstrap(labels, resamples=300).difference(scores, similar)["auc"]
    assert difference.standard_error == pytest.approx(
        (difference.high - difference.low) / (2 * 1.96), rel=0.2
    )
    alone: Interval = Bootstrap(labels, resamples=300).metrics(scores)["auc"]
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)


def to_noisy(scores: np.ndarray, deviation: float = 1.0) -> np.ndarray:
    """Scores that rank worse."""
    noise = np.random.default_rng(9).normal(0.0, deviation, len(scores))
    return 1 / (1 + np.exp(-(np.log(scores / (1 - scores)) + noise)))

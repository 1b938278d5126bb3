"""Dependence of the risk on apps, order and rhythm, for a few installs and for a whole population."""

import numpy as np
import pytest

from simulator.apps import Category, make_catalogue
from simulator.behaviour import MS_PER_DAY, Installs, draw_installs
from simulator.risk import measure, true_risk

L, G, F, S = Category.LENDING, Category.GAMBLING, Category.FINANCE, Category.SOCIAL
# One app for each category, so that an app's index is its category.
CATEGORIES = np.arange(len(Category))
NOON_MS = 20_000 * MS_PER_DAY + MS_PER_DAY // 2
AS_OF_MS = np.array([20_100 * MS_PER_DAY])
MINUTE_MS = 60_000


def one_user(*apps: int, minutes_apart: float = 1) -> Installs:
    times = NOON_MS + (np.arange(len(apps)) * minutes_apart * MINUTE_MS).astype(np.int64)
    return Installs(np.zeros(len(apps), dtype=np.int64), np.array(apps), times, num_users=1)


def risk_of(installs: Installs) -> float:
    return float(true_risk(installs, CATEGORIES, AS_OF_MS)[0])


def test_the_same_bag_of_apps_in_another_order_is_another_risk():
    assert risk_of(one_user(G, S, L, S)) > risk_of(one_user(L, S, G, S))


def test_lending_soon_after_gambling_raises_the_risk_only_within_a_session():
    together = measure(one_user(G, L), CATEGORIES, AS_OF_MS)
    apart = measure(one_user(G, L, minutes_apart=30), CATEGORIES, AS_OF_MS)
    assert together.chase[0] > 0
    assert apart.chase[0] == 0


def test_a_lending_app_that_directly_follows_another_is_a_burst():
    assert measure(one_user(S, L, L, S), CATEGORIES, AS_OF_MS).burst[0] > 0
    assert measure(one_user(L, S, L, S), CATEGORIES, AS_OF_MS).burst[0] == 0


def test_gambling_and_lending_late_in_the_history_are_riskier_than_early():
    assert risk_of(one_user(S, S, L, G, minutes_apart=60)) > risk_of(one_user(L, G, S, S, minutes_apart=60))


def test_the_same_order_at_night_is_riskier():
    day = one_user(G, S, L, S)
    night = Installs(day.user, day.app, day.time_ms - MS_PER_DAY // 2, num_users=1)
    assert risk_of(night) > risk_of(day)


def test_recent_installs_are_riskier_than_old_ones():
    recent = one_user(S, S, S, S)
    moved = recent.time_ms.copy()
    moved[1:] = AS_OF_MS[0] - MS_PER_DAY + np.arange(3) * MINUTE_MS + MS_PER_DAY // 2
    assert risk_of(Installs(recent.user, recent.app, moved, num_users=1)) > risk_of(recent)


def test_finance_lowers_the_risk_that_lending_and_gambling_raise():
    # In the middle of the history, where an app's place does not change the risk.
    risks = [risk_of(one_user(S, S, app, S, S)) for app in (F, S, G, L)]
    assert risks == sorted(risks)


def test_a_user_without_installs_has_the_base_risk_and_changes_no_other_user():
    alone = risk_of(one_user(G, L))
    installs = one_user(G, L)
    beside = Installs(installs.user + 1, installs.app, installs.time_ms, num_users=3)
    risks = true_risk(beside, CATEGORIES, np.repeat(AS_OF_MS, 3))
    assert risks[1] == pytest.approx(alone)
    assert risks[0] == risks[2] < alone


def test_order_and_bag_are_unrelated_in_the_population():
    rng = np.random.default_rng(5)
    catalogue = make_catalogue(100, rng)
    installs = draw_installs(4_000, 20_000 * MS_PER_DAY, catalogue, rng)
    found = measure(installs, catalogue.categories, np.full(4_000, 20_000 * MS_PER_DAY))
    for order in (found.chase, found.turn, found.slide):
        for share in (found.lending, found.gambling, found.finance):
            assert abs(np.corrcoef(order, share)[0, 1]) < 0.06  # four standard errors

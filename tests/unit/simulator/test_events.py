"""Landing days of events, for many installs of one morning."""

import numpy as np
import pytest

from simulator.behaviour import MS_PER_DAY, Installs
from simulator.events import INSTALL, REPEAT_LATER_DAYS, UNINSTALL, UPDATE, Events, report

FIRST_DAY = 20_000
COUNT = 20_000


@pytest.fixture(scope="module")
def reported() -> Events:
    """Events of apps that are all installed on the second of 30 landing days, each app once."""
    second_day_ms = (FIRST_DAY + 1) * MS_PER_DAY + np.arange(COUNT)
    installs = Installs(np.zeros(COUNT, dtype=np.int64), np.arange(COUNT), second_day_ms, num_users=1)
    return report(installs, FIRST_DAY, days=30, rng=np.random.default_rng(3))


def test_most_installs_land_on_their_day_and_some_days_later(reported):
    installs = reported.where((reported.kind == INSTALL) & ~reported.repeat)
    delay_days = installs.landing_day - (FIRST_DAY + 1)
    assert np.array_equal(delay_days > 0, installs.late)
    assert delay_days.min() == 0
    assert delay_days.max() > 7
    assert 0.04 < installs.late.mean() < 0.06


def test_a_repeat_lands_with_its_first_copy_or_up_to_three_days_after(reported):
    first_landing = dict(zip(*(column[~reported.repeat].tolist() for column in keyed(reported)), strict=True))
    repeats = zip(*(column[reported.repeat].tolist() for column in keyed(reported)), strict=True)
    waits = [landing_day - first_landing[event] for event, landing_day in repeats]
    assert {*waits} == {*range(REPEAT_LATER_DAYS + 1)}
    assert 0.5 < waits.count(0) / len(waits) < 0.9


def keyed(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """A number for each event (one app is updated at most once), and its landing day."""
    return events.app * 3 + events.kind, events.landing_day


def test_updates_and_uninstalls_follow_the_install(reported):
    for kind in (UPDATE, UNINSTALL):
        later = reported.where(reported.kind == kind)
        assert 0 < len(later.app) < 0.3 * COUNT
        assert (later.time_ms > (FIRST_DAY + 1) * MS_PER_DAY + later.app).all()


def test_nothing_lands_or_happens_after_the_last_day(reported):
    assert reported.landing_day.max() == FIRST_DAY + 29
    assert reported.time_ms.max() < (FIRST_DAY + 30) * MS_PER_DAY

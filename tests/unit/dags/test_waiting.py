"""Waits: a late delivery is waited for, an outage is outlasted, a refusal ends the task at once."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from dags import waiting
from dags.common import RetryOutages
from dags.hdfs_days import HdfsDays
from dags.waiting import HdfsDaysTrigger, WaitForHdfsDays, find_missing
from model_registry.errors import PermissionDeniedError
from tests.made_up.landing_day import land, land_complete, write_receipts
from tests.made_up.web_hdfs import web_hdfs

DAY, DAY_BEFORE = "2026-01-31", "2026-01-30"


@pytest.fixture
def hdfs(tmp_path):
    (tmp_path / "landing").mkdir()
    with web_hdfs(tmp_path) as server:
        yield server


def days_of(url):
    return HdfsDays(url, "risk", "/landing", "/receipts")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_task(url, lookback_days=None, timeout_minutes=360):
    return WaitForHdfsDays(
        task_id="wait",
        days=days_of(url),
        day=DAY,
        advice="Deliver it.",
        timeout_minutes=timeout_minutes,
        poll_seconds=0.01,
        lookback_days=lookback_days,
    )


class Try:
    """The parts of a task's context that a wait reads."""

    def __init__(self, max_tries=10):
        self.stored = {}
        self.max_tries = max_tries

    def context(self):
        store = SimpleNamespace(get=self.stored.get, set=self.stored.__setitem__)
        return {"ti": SimpleNamespace(max_tries=self.max_tries), "task_state_store": store}


def deferred(task, attempt):
    """The trigger and the timeout that the task hands over."""
    with pytest.raises(TaskDeferred) as error:
        task.execute(attempt.context())
    return error.value.trigger, error.value.timeout


def first_event(trigger):
    async def fire():
        return await anext(trigger.run())

    return asyncio.run(fire()).payload


def trigger_of(url, lookback_days=None, missing=(), seconds=0.0):
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    days = {"webhdfs_url": url, "user": "risk", "landing_root": "/landing", "receipts_root": "/receipts"}
    return HdfsDaysTrigger(days, DAY, lookback_days, list(missing), 0.01, deadline.isoformat())


def test_a_day_that_has_landed_is_not_waited_for(hdfs):
    land_complete(hdfs.root / "landing" / f"ds={DAY}")
    wait_task(hdfs.url).execute(Try().context())


def test_a_window_whose_receipts_stand_for_its_present_files_is_not_waited_for(hdfs):
    for day in (DAY_BEFORE, DAY):
        land_complete(hdfs.root / "landing" / f"ds={day}", a__jsonl="{}")
    write_receipts(hdfs.root, DAY_BEFORE, DAY)
    wait_task(hdfs.url, lookback_days=2).execute(Try().context())

    land(hdfs.root / "landing" / f"ds={DAY_BEFORE}", b__jsonl="{}")
    trigger, _ = deferred(wait_task(hdfs.url, lookback_days=2), Try())
    assert trigger.missing == [DAY_BEFORE]


def test_a_folder_that_is_not_named_by_a_day_is_not_waited_for(hdfs):
    land(hdfs.root / "landing" / f"ds={DAY_BEFORE}.bad", a__jsonl="{}")
    assert days_of(hdfs.url).unextracted(DAY) == []


def test_a_folder_that_this_user_may_not_read_ends_the_task_at_once_by_name(hdfs):
    land_complete(hdfs.root / "landing" / f"ds={DAY_BEFORE}")
    for forbidden, lookback_days in (("/landing", None), ("/landing", 2), ("/receipts", 2)):
        hdfs.forbidden = [forbidden]
        with pytest.raises(PermissionDeniedError, match=f"Permission denied.*{forbidden}") as error:
            wait_task(hdfs.url, lookback_days).execute(Try().context())
        decision = RetryOutages().evaluate(error.value, try_number=1, max_tries=10)
        assert decision.action.value == "fail"
        assert "Permission denied" in decision.reason


def test_a_permission_that_is_taken_away_during_the_wait_ends_the_wait(hdfs):
    hdfs.forbidden = ["/landing"]
    with pytest.raises(PermissionDeniedError):
        first_event(trigger_of(hdfs.url, seconds=600))


def test_an_outage_at_the_first_look_is_waited_out_too():
    trigger, _ = deferred(wait_task(f"http://127.0.0.1:{free_port()}"), Try())
    assert trigger.missing == []


@pytest.mark.parametrize("lookback_days", [None, 2])
def test_a_wait_outlasts_a_namenode_that_is_down(tmp_path, monkeypatch, lookback_days):
    port, looks = free_port(), []

    def look(*arguments):
        looks.append(find_missing(*arguments))
        return looks[-1]

    monkeypatch.setattr(waiting, "find_missing", look)
    land_complete(tmp_path / "landing" / f"ds={DAY}")
    write_receipts(tmp_path, DAY)

    async def wait():
        event = asyncio.create_task(
            anext(trigger_of(f"http://127.0.0.1:{port}", lookback_days, seconds=600).run())
        )
        while not (looks or event.done()):
            await asyncio.sleep(0.01)
        with web_hdfs(tmp_path, port):
            return (await event).payload

    assert asyncio.run(wait()) == {"missing": [], "outage": ""}
    assert "WebHdfsDownError" in looks[0][1]


def test_while_hdfs_is_down_it_is_asked_less_and_less_often(monkeypatch):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 20:
            raise InterruptedError

    monkeypatch.setattr(waiting, "asyncio", SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread))
    monkeypatch.setattr(waiting, "find_missing", lambda *_: ([DAY], "WebHdfsDownError: nothing answers"))
    with pytest.raises(InterruptedError):
        first_event(trigger_of("http://127.0.0.1:1", seconds=6 * 3600))
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.1
    assert pauses[-1] == waiting.LONGEST_PAUSE_SECONDS


def test_a_poll_of_missing_days_costs_two_listings(hdfs):
    for day in ("2026-01-28", "2026-01-29", DAY_BEFORE, DAY):
        land_complete(hdfs.root / "landing" / f"ds={day}", a__jsonl="{}")
    write_receipts(hdfs.root, "2026-01-28", "2026-01-29", DAY_BEFORE)
    assert first_event(trigger_of(hdfs.url, 365, [DAY]))["missing"] == [DAY]
    assert hdfs.asked == [("LISTSTATUS", "/landing"), ("LISTSTATUS", "/receipts")]


def test_a_day_whose_folder_is_removed_during_the_wait_is_no_longer_waited_for(hdfs):
    assert first_event(trigger_of(hdfs.url, 2, [DAY_BEFORE], seconds=600)) == {"missing": [], "outage": ""}


def test_the_wait_fails_with_what_is_missing_and_with_an_outage_at_its_end(hdfs):
    task = wait_task(hdfs.url)
    event = first_event(trigger_of(hdfs.url))
    expected = rf"after 360 minutes these are still missing: /landing/ds={DAY}/_SUCCESS. Deliver it."
    with pytest.raises(AirflowFailException, match=expected):
        task.resume({}, event)
    event = first_event(trigger_of(f"http://127.0.0.1:{free_port()}", missing=["/x"]))
    with pytest.raises(
        AirflowFailException, match=r"/x. HDFS could not be asked at the end: WebHdfsDownError"
    ):
        task.resume({}, event)


def test_a_retry_keeps_the_deadline_and_a_cleared_task_gets_a_new_one(hdfs):
    attempt = Try()
    first, _ = deferred(wait_task(hdfs.url), attempt)
    again, _ = deferred(wait_task(hdfs.url), attempt)
    assert again.deadline == first.deadline

    attempt.max_tries += 2  # as Airflow does when a task is cleared
    cleared, _ = deferred(wait_task(hdfs.url), attempt)
    assert cleared.deadline > first.deadline


def test_a_retry_after_the_deadline_looks_once_and_fails_by_name(hdfs):
    attempt = Try()
    deferred(wait_task(hdfs.url), attempt)
    attempt.stored = dict.fromkeys(attempt.stored, datetime(2026, 1, 1, tzinfo=UTC).isoformat())
    with pytest.raises(AirflowFailException, match="still missing"):
        wait_task(hdfs.url).execute(attempt.context())
    land_complete(hdfs.root / "landing" / f"ds={DAY}")
    wait_task(hdfs.url).execute(attempt.context())


def test_without_a_triggerer_airflow_ends_the_wait_soon_after_its_deadline(hdfs):
    _, timeout = deferred(wait_task(hdfs.url, timeout_minutes=60), Try())
    assert waiting.TRIGGERER_GRACE < timeout <= timedelta(minutes=60) + waiting.TRIGGERER_GRACE


def test_a_trigger_survives_being_written_down_and_read_again(hdfs):
    trigger = trigger_of(hdfs.url, 2, [DAY_BEFORE])
    path, arguments = trigger.serialize()
    assert path == "dags.waiting.HdfsDaysTrigger"
    assert HdfsDaysTrigger(**arguments).serialize() == trigger.serialize()


@pytest.mark.parametrize("day", ["None", "20260131", "2026-02-30"])
def test_a_run_without_a_date_is_refused(hdfs, day):
    task = wait_task(hdfs.url)
    task.day = day
    with pytest.raises(AirflowFailException, match="this run has no date"):
        task.execute(Try().context())

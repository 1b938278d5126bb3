"""Wait for files on HDFS without holding a worker; after the timeout, fail and name the missing ones.

An outage of HDFS does not end a wait: it is asked again, less and less often, until the time is up. A refused
permission ends the task at once.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from dags.hdfs_days import HdfsDays
from jobs.lake.receipts import parse_day
from model_registry.errors import ModelRegistryError

LONGEST_PAUSE_SECONDS = 120  # between two looks while HDFS is down
# The trigger itself ends the wait in time. Airflow ends it this much later if no triggerer runs; a look at
# an HDFS that hangs can take three minutes.
TRIGGERER_GRACE = timedelta(minutes=10)


def find_missing(
    days: HdfsDays, day: str, lookback_days: int | None, known: list[str]
) -> tuple[list[str], str]:
    """List what a wait misses: the day's `_SUCCESS` or, with a look-back window, its unextracted days.

    Args:
        known: what an earlier look missed; then only these days are looked at.

    Returns:
        What is missing; and "", or why HDFS cannot say it at the moment. Then `known` stays.

    Raises:
        ModelRegistryError: HDFS refuses for good, such as PermissionDeniedError.
    """
    try:
        if lookback_days is None:
            return days.unlanded(day), ""
        return days.still_unextracted(known) if known else days.unextracted(day, lookback_days), ""
    except ModelRegistryError as error:
        if not error.retryable:
            raise
        return known, f"{type(error).__name__}: {error}"


class HdfsDaysTrigger(BaseTrigger):
    """Fires as soon as nothing is missing, else at the deadline.

    The event holds the arguments of `WaitForHdfsDays.resume`.
    """

    def __init__(
        self,
        days: dict[str, str],
        day: str,
        lookback_days: int | None,
        missing: list[str],
        poll_seconds: float,
        deadline: str,
    ) -> None:
        super().__init__()
        self.days = days
        self.day = day
        self.lookback_days = lookback_days
        self.missing = missing
        self.poll_seconds = poll_seconds
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("days", "day", "lookback_days", "missing", "poll_seconds", "deadline")
        return f"{__name__}.HdfsDaysTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        deadline = datetime.fromisoformat(self.deadline)
        missing, pause = self.missing, self.poll_seconds
        while True:
            missing, outage = await asyncio.to_thread(
                find_missing, HdfsDays(**self.days), self.day, self.lookback_days, missing
            )
            seconds_left = (deadline - datetime.now(UTC)).total_seconds()
            if not (missing or outage) or seconds_left <= 0:
                yield TriggerEvent({"missing": missing, "outage": outage})
                return
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS) if outage else self.poll_seconds
            if outage:
                self.log.warning("HDFS is asked again in %.0f s: %s", pause, outage)
            await asyncio.sleep(min(pause, seconds_left))


class WaitForHdfsDays(BaseOperator):
    """Wait for the landing of one day or, given `lookback_days`, for the extraction of its window.

    The task looks once itself; only if something is missing does it defer to the triggerer.
    """

    template_fields = ("day",)

    def __init__(
        self,
        *,
        days: HdfsDays,
        day: str,
        advice: str,
        timeout_minutes: float,
        poll_seconds: float,
        lookback_days: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.days = days
        self.day = day
        self.advice = advice
        self.timeout_minutes = timeout_minutes
        self.poll_seconds = poll_seconds
        self.lookback_days = lookback_days

    def execute(self, context: Context) -> None:
        require_date(self.day)
        missing, outage = find_missing(self.days, self.day, self.lookback_days, [])
        if not (missing or outage):
            return
        deadline = self.find_deadline(context)
        left = deadline - datetime.now(UTC)
        if left <= timedelta(0):
            self.resume(context, {"missing": missing, "outage": outage})
        self.log.info("waiting until %s for %s", f"{deadline:%F %T} UTC", ", ".join(missing) or outage)
        trigger = HdfsDaysTrigger(
            asdict(self.days),
            self.day,
            self.lookback_days,
            missing,
            self.poll_seconds,
            deadline.isoformat(),
        )
        self.defer(trigger=trigger, method_name="resume", timeout=left + TRIGGERER_GRACE)

    def find_deadline(self, context: Context) -> datetime:
        """The end of the wait, UTC: the same for all tries, a new one once the task has been cleared."""
        # Clearing keeps what is stored, and raises max_tries.
        store, key = context["task_state_store"], f"deadline_{context['ti'].max_tries}"
        stored = store.get(key)
        if isinstance(stored, str):
            return datetime.fromisoformat(stored)
        deadline = datetime.now(UTC) + timedelta(minutes=self.timeout_minutes)
        store.set(key, deadline.isoformat())
        return deadline

    def resume(self, context: Context, event: dict[str, Any]) -> None:  # noqa: ARG002 (the interface's)
        """End the task with what is missing, and why HDFS could not be asked last, if so.

        Raises:
            AirflowFailException: the wait is over in vain; a retry would only wait again.
        """
        missing, outage = event["missing"], event["outage"]
        if not (missing or outage):
            return
        found = f"these are still missing: {', '.join(missing)}." if missing else "nothing is known."
        if outage:
            found += f" HDFS could not be asked at the end: {outage}"
        raise AirflowFailException(f"after {self.timeout_minutes:g} minutes {found} {self.advice}")


def require_date(day: str) -> None:
    """Refuse a run without a partition key: templates then render the word `None`.

    Raises:
        AirflowFailException: `day` is not a date.
    """
    try:
        parse_day(day)
    except ValueError as error:
        raise AirflowFailException(
            f"this run has no date: its partition key is {day!r}. Start it as a backfill, or by "
            'POST /api/v2/dags/nightly_scoring/dagRuns {"logical_date": null, "partition_key": "2026-11-05"}'
        ) from error

"""Wait for files on HDFS without holding a worker; after the timeout, fail and name the missing ones."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent


@dataclass(frozen=True)
class HdfsDays:
    """The landed and the extracted days of one HDFS."""

    webhdfs_url: str
    user: str
    landing_root: str
    receipts_root: str

    def unlanded(self, day: str) -> list[str]:
        """The path of the day's `_SUCCESS` if it does not exist; else nothing."""
        success = f"{self.landing_root}/ds={day}/_SUCCESS"
        return [] if self._client().status(success, strict=False) else [success]

    def unextracted(self, last_day: str, lookback_days: int | None = None) -> list[str]:
        """Landed days up to `last_day` without a receipt, in the look-back window if one is given."""
        client = self._client()
        landed = [
            name.removeprefix("ds=") for name in client.list(self.landing_root) if name.startswith("ds=")
        ]
        extracted = set(self._receipts(client))
        first_day = ""
        if lookback_days is not None:
            first_day = (date.fromisoformat(last_day) - timedelta(days=lookback_days - 1)).isoformat()
        in_window = [day for day in sorted(landed) if first_day <= day <= last_day]
        return [day for day in in_window if day not in extracted]

    def _receipts(self, client: Any) -> list[str]:
        if client.status(self.receipts_root, strict=False) is None:
            return []
        return [name.removeprefix("ds=").removesuffix(".json") for name in client.list(self.receipts_root)]

    def _client(self) -> Any:
        from model_registry.store.webhdfs import (
            webhdfs_client,  # Imported where it runs: DAG files stay light.
        )

        return webhdfs_client(self.webhdfs_url, self.user)


def find_missing(days: HdfsDays, day: str, lookback_days: int | None) -> list[str]:
    """List what a wait misses: the day's `_SUCCESS` or, with a look-back window, its unextracted days."""
    return days.unlanded(day) if lookback_days is None else days.unextracted(day, lookback_days)


class HdfsDaysTrigger(BaseTrigger):
    """Fires with the list of missing days or files: empty as soon as there are none, else at the deadline."""

    def __init__(
        self, days: dict[str, str], day: str, lookback_days: int | None, poll_seconds: float, deadline: str
    ) -> None:
        super().__init__()
        self.days = days
        self.day = day
        self.lookback_days = lookback_days
        self.poll_seconds = poll_seconds
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("days", "day", "lookback_days", "poll_seconds", "deadline")
        return f"{__name__}.HdfsDaysTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        deadline = datetime.fromisoformat(self.deadline)
        while True:
            missing = await asyncio.to_thread(
                find_missing, HdfsDays(**self.days), self.day, self.lookback_days
            )
            if not missing or datetime.now(UTC) > deadline:
                yield TriggerEvent(missing)
                return
            await asyncio.sleep(self.poll_seconds)


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

    def execute(self, context: Context) -> None:  # noqa: ARG002 (the interface's)
        require_date(self.day)
        missing = find_missing(self.days, self.day, self.lookback_days)
        if not missing:
            return
        self.log.info("waiting for %s", ", ".join(missing))
        deadline = datetime.now(UTC) + timedelta(minutes=self.timeout_minutes)
        trigger = HdfsDaysTrigger(
            asdict(self.days), self.day, self.lookback_days, self.poll_seconds, deadline.isoformat()
        )
        self.defer(trigger=trigger, method_name="resume")

    def resume(self, context: Context, event: list[str]) -> None:  # noqa: ARG002
        """End the task with the trigger's list of what is missing.

        Raises:
            AirflowFailException: the list is not empty; a retry would only wait again.
        """
        if event:
            waited = f"after {self.timeout_minutes:g} minutes these are still missing"
            raise AirflowFailException(f"{waited}: {', '.join(event)}. {self.advice}")


def require_date(day: str) -> None:
    """Refuse a run without a partition key: templates then render the word `None`.

    Raises:
        AirflowFailException: `day` is not a date.
    """
    try:
        date.fromisoformat(day)
    except ValueError as error:
        raise AirflowFailException(
            f"this run has no date: its partition key is {day!r}. Start it as a backfill, or by "
            'POST /api/v2/dags/nightly_scoring/dagRuns {"logical_date": null, "partition_key": "2026-11-05"}'
        ) from error

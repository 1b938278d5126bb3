"""What a reader saw of one date while something broke, and the judgement of it.

In   the oracle's lines
Out  Watch: the states in their order, the failed looks, the number of looks
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from threading import Event, Thread
from typing import Any

from local_cluster.environment import identity_environment, pipeline_settings
from local_cluster.layout import Layout
from settings import REPOSITORY

# A reader that meets a stopped service sees no scores, wrong or right. All other failures are defects.
OUTAGES = (
    "java.net.ConnectException",
    "java.net.SocketException",
    "java.net.SocketTimeoutException",
    "java.io.EOFException",
    "java.nio.channels.ClosedByInterruptException",
    "org.apache.hadoop.ipc.RemoteException(org.apache.hadoop.hdfs.server.namenode.SafeModeException)",
    "org.apache.hadoop.ipc.RemoteException(org.apache.hadoop.ipc.RetriableException)",
    "org.apache.hadoop.hdfs.BlockMissingException",
    "org.postgresql.util.PSQLException",
)


@dataclass(frozen=True)
class State:
    """What one look at a date found; `scores` stands for every user's score to the last bit."""

    rows: int
    users: int
    scores: str
    models: tuple[str, ...]
    runs: tuple[str, ...]

    @classmethod
    def of(cls, message: dict[str, Any]) -> "State":
        return cls(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in message.items()}
        )


@dataclass
class Watch:
    """One watched date; complete once the watch has ended."""

    states: list[State] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    looks: int = 0

    def check(self, outage: bool = False) -> None:
        """Check that readers saw the old scores, then perhaps the new, and nothing else at any look.

        Args:
            outage: services were stopped, so looks may have failed for want of them.

        Raises:
            AssertionError: with what was seen.
        """
        seen = [state for state, _ in groupby(self.states)]  # a failed look in between is no change
        assert len(seen) <= 2, f"readers saw {len(seen)} states one after the other: {seen}"
        for state in seen:
            assert len(state.runs) == len(state.models) == 1, (
                f"readers saw no rows, or rows of several runs: {state}"
            )
            assert state.rows == state.users, f"readers saw a user twice: {state}"
        unexpected = [failure for failure in self.failures if not (outage and failure.startswith(OUTAGES))]
        assert not unexpected, f"readers failed: {unexpected}"


class Oracle:
    """The reading process; one for all tests, since its JVM takes two seconds to start."""

    def __init__(self, layout: Layout) -> None:
        reader = identity_environment(layout, "reader")
        environment = {**os.environ, **reader, **pipeline_settings(layout)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.harness.oracle"],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def watching(self, **place: str) -> Iterator[Watch]:
        """Watch `ds=` or `folder=` from before the block's first line to after its last."""
        watch, first, end = Watch(), Event(), Event()
        self._send(place)
        thread = Thread(target=self._receive, args=(watch, first, end))
        thread.start()
        try:
            assert first.wait(timeout=60), "the oracle does not answer"
            yield watch
        finally:
            self._send({})
            thread.join(timeout=60)
        assert end.is_set(), "the oracle has ended"

    def see(self, ds: date) -> State:
        """Look at a date."""
        with self.watching(ds=ds.isoformat()) as watch:
            pass
        (state,) = watch.states
        return state

    def _send(self, command: dict[str, str]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _receive(self, watch: Watch, first: Event, end: Event) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "looks" in message:
                watch.looks = message["looks"]
                end.set()
                return
            if "failed" in message:
                watch.failures.append(message["failed"])
            else:
                watch.states.append(State.of(message))
            first.set()

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

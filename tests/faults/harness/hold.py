"""Barriers at named points of a job: its first call of a function waits there until the test goes on.

In   an owner and the name of its function: LakeTable, "move_main"
Out  Hold: `reached` is set once the call stands at the point; `release` lets it go on
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock
from typing import Any, Literal

import pytest

LONGEST_SECONDS = 300  # a test that forgets to release fails, and does not stand for ever


class Hold:
    """One point at which one call is held."""

    def __init__(self) -> None:
        self.reached = Event()
        self.released = Event()
        self._first = Lock()

    def stand(self) -> None:
        """Hold the first caller; all others pass."""
        if self._first.acquire(blocking=False):
            self.reached.set()
            assert self.released.wait(LONGEST_SECONDS), "nobody released the held call"

    def wait(self) -> None:
        assert self.reached.wait(LONGEST_SECONDS), "no call has reached the point"

    def release(self) -> None:
        self.released.set()


def wrap(function: Callable[..., Any], stand: Callable[[], None], when: str) -> Callable[..., Any]:
    """Stand before or after the call."""

    @functools.wraps(function)
    def held(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            stand()
        result = function(*args, **kwargs)
        if when == "after":
            stand()
        return result

    return held


@contextmanager
def holding(owner: Any, name: str, when: Literal["before", "after"] = "before") -> Iterator[Hold]:
    """Hold the first call of `owner.name` in this process, whichever thread makes it."""
    hold = Hold()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, wrap(getattr(owner, name), hold.stand, when))
        try:
            yield hold
        finally:
            hold.release()

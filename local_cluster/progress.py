"""One line per step: its name at the start, its duration at the end."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print `name … 3.2 s`, or `name … failed after 3.2 s` and let the error through."""
    print(f"{name} … ", end="", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print(f"failed after {time.monotonic() - started:.1f} s", flush=True)
        raise
    print(f"{time.monotonic() - started:.1f} s", flush=True)


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, file=sys.stdout, flush=True)

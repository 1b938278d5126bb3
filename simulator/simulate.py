"""The whole simulation, one chunk of users after another, so that memory does not grow with the users.

In   Simulation(users=20_000, days=4, first_day=date(2026, 1, 1), seed=7)
Out  DIR/installs/ds=2026-01-01/part-00000.jsonl.gz …, _SUCCESS   the first day brings the backlog of months
     DIR/labels.csv, DIR/truth.csv                                one row per user with enough installs

A chunk's random numbers depend only on the seed and on the chunk's number, so any number of processes writes
the same bytes.
"""

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulator.apps import AppCatalogue, Category, make_catalogue
from simulator.bad_rows import spoil
from simulator.behaviour import MS_PER_DAY, draw_installs
from simulator.events import EVENT_TYPES, Events, report
from simulator.labels import LABELS_HEADER, TRUTH_HEADER, draw_outcomes, label_lines, truth_lines
from simulator.rows import make_rows
from simulator.writer import FileFormat, write_part

EPOCH = date(1970, 1, 1)
USERS_PER_CHUNK = 5_000


class OutputExistsError(Exception):
    """The output folder already holds a simulation, whose files must not be mixed with another's."""


@dataclass(frozen=True)
class Simulation:
    """Options of a simulation; the same values give the same files.

    Raises:
        ValueError: names the setting, its allowed values, and its value.
    """

    users: int
    days: int  # landing days
    first_day: date  # UTC
    seed: int
    apps: int = 5_000
    bad_share: float = 0.01  # bad rows for each good one
    file_format: FileFormat = FileFormat.JSONL

    def __post_init__(self) -> None:
        for setting, smallest in (("users", 1), ("days", 1), ("seed", 0), ("apps", len(Category))):
            value = getattr(self, setting)
            if value < smallest:
                raise ValueError(f"{setting} must be at least {smallest}, got {value}")
        if not 0.0 <= self.bad_share <= 1.0:
            raise ValueError(f"bad_share must be from 0 to 1, got {self.bad_share}")

    @property
    def landing_days(self) -> list[date]:
        """The UTC days on which events land."""
        return [self.first_day + timedelta(days=n) for n in range(self.days)]

    @property
    def chunks(self) -> range:
        """Numbers of the chunks of users."""
        return range(-(-self.users // USERS_PER_CHUNK))

    def random(self, *place: int) -> np.random.Generator:
        """Make the generator of one place in the simulation, which is independent of all other places."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=place))


@dataclass
class Summary:
    """Counts of what was written."""

    labels: int = 0
    positives: int = 0
    # (ds, kind) -> rows. The kinds install, update and uninstall (without repeats), repeat, and the reasons
    # of bad rows add up to all rows. A further kind, late, counts those that landed after the day on which
    # they happened, without the first day's backlog.
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: "Summary") -> None:
        """Add the counts of another chunk."""
        self.labels += other.labels
        self.positives += other.positives
        self.rows.update(other.rows)


class Written(NamedTuple):
    """Result of a chunk: its lines of the files that all chunks share, and its counts."""

    labels: str
    truth: str
    summary: Summary


def simulate(simulation: Simulation, output: Path, processes: int = 1) -> Summary:
    """Write a simulation below `output`, with `processes` processes.

    Raises:
        OutputExistsError: `output` already holds one.
    """
    installs = output / "installs"
    if installs.exists():
        raise OutputExistsError(f"{installs} exists; remove it or choose another output folder")
    folders = [installs / f"ds={day}" for day in simulation.landing_days]
    for folder in folders:
        folder.mkdir(parents=True)

    summary = Summary()
    with (output / "labels.csv").open("w") as labels, (output / "truth.csv").open("w") as truth:
        labels.write(LABELS_HEADER)
        truth.write(TRUTH_HEADER)
        for written in _write_chunks(simulation, installs, processes):
            labels.write(written.labels)
            truth.write(written.truth)
            summary.add(written.summary)

    for folder in folders:
        (folder / "_SUCCESS").touch()
    return summary


def _write_chunks(simulation: Simulation, installs: Path, processes: int) -> Iterator[Written]:
    """Write all chunks; their results come in order."""
    write = partial(write_chunk, simulation, installs)
    if processes == 1:
        yield from map(write, simulation.chunks)
        return
    # Spawned, not forked: the caller may have threads, and the fork of a process with threads may hang.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(write, simulation.chunks)


def write_chunk(simulation: Simulation, installs: Path, chunk: int) -> Written:
    """Simulate one chunk of users and write its part of every landing day below `installs`."""
    first_user = chunk * USERS_PER_CHUNK
    num_users = min(USERS_PER_CHUNK, simulation.users - first_user)
    first_day = (simulation.first_day - EPOCH).days
    end_ms = (first_day + simulation.days) * MS_PER_DAY
    catalogue = make_catalogue(simulation.apps, simulation.random(0))
    # One generator for each purpose, so that users and labels stay the same when the noise changes.
    for_users, for_labels, for_events, for_rows = (
        simulation.random(1, chunk, purpose) for purpose in range(4)
    )

    user_installs = draw_installs(num_users, end_ms, catalogue, for_users)
    outcomes = draw_outcomes(user_installs, catalogue, first_day, simulation.days, for_labels)
    events = report(user_installs, first_day, simulation.days, for_events)

    summary = Summary(labels=len(outcomes.user), positives=int(outcomes.label.sum()))
    for day in simulation.landing_days:
        landed = events.where(events.landing_day == (day - EPOCH).days)
        rows = _write_day(simulation, installs, chunk, day, landed, catalogue, for_rows)
        summary.rows.update({(str(day), kind): count for kind, count in rows.items()})
    return Written(label_lines(outcomes, first_user), truth_lines(outcomes, first_user), summary)


def _write_day(
    simulation: Simulation,
    installs: Path,
    chunk: int,
    day: date,
    events: Events,
    catalogue: AppCatalogue,
    rng: np.random.Generator,
) -> Counter[str]:
    """Write a chunk's part of one landing day and count its rows by kind."""
    rows = make_rows(events, chunk * USERS_PER_CHUNK, catalogue, rng)
    bad_rows = spoil(rows, simulation.bad_share, simulation.file_format.reasons, rng)
    path = installs / f"ds={day}" / f"part-{chunk:05d}"
    order = rng.permutation(len(rows) + len(bad_rows))  # a log has no useful order
    write_part(path, rows, bad_rows, order, simulation.file_format)
    return _count(events) + Counter(reason for _, reason in bad_rows)


def _count(events: Events) -> Counter[str]:
    firsts = np.bincount(events.kind[~events.repeat], minlength=len(EVENT_TYPES))
    counts = Counter(dict(zip(EVENT_TYPES, firsts.tolist(), strict=True)))
    return counts + Counter(repeat=int(events.repeat.sum()), late=int(events.late.sum()))

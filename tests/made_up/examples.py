"""A small made-up training set: users who install gambling apps late in their history tend to be label 1."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.made_up_users import make_times
from jobs.sequences.app_sequences import AppSequences
from jobs.training_set.examples import Examples
from jobs.training_set.reader import FACTS_FILE

APPS = [f"app {i}" for i in range(300)]  # a space in each: app ids hold any characters
RISKY_APPS = 10  # the first ones
AS_OF = np.datetime64("2026-01-31T00:00:00", "us")
FACTS = {
    "table": "risk.install_sessions",
    "snapshot_id": "8124559012",
    "first_landing_day": "2026-01-01",
    "last_landing_day": "2026-01-31",
    "training_date": "2026-01-31",
}


def made_up_examples(users: int, mean_length: float = 12.0, seed: int = 0) -> Examples:
    """Users `u0`, `u1`, …, one example each."""
    random = np.random.default_rng(seed)
    lengths = np.clip(random.lognormal(np.log(mean_length) - 0.18, 0.6, users), 1, 128).astype(int)
    popularity = 1.0 / (10.0 + np.arange(len(APPS)))
    sequences = [random.choice(len(APPS), length, p=popularity / popularity.sum()) for length in lengths]
    weights = [np.linspace(0.0, 2.0, length) for length in lengths]
    risk = np.array(
        [(weight * (apps < RISKY_APPS)).mean() for weight, apps in zip(weights, sequences, strict=True)]
    )
    chance = 1.0 / (1.0 + np.exp(-8.0 * (risk - np.quantile(risk, 0.7))))
    starts = np.random.default_rng([seed, 1]).random(lengths.sum()) < 0.25
    starts[np.cumsum(lengths) - lengths] = True
    return Examples(
        user_ids=np.array([f"u{i}" for i in range(users)], dtype=object),
        labels=(random.random(users) < chance).astype(np.int8),
        as_of=np.full(users, AS_OF),
        installs=AppSequences.of_lists(
            pa.array([[APPS[app] for app in apps] for apps in sequences], pa.list_(pa.string())), starts
        ),
    )


def labelled_users(*users: tuple[str, int]) -> Examples:
    """Examples of one install each."""
    return Examples(
        user_ids=np.array([user for user, _ in users], dtype=object),
        labels=np.array([label for _, label in users], dtype=np.int8),
        as_of=np.full(len(users), AS_OF),
        installs=AppSequences.of_lists(pa.array([["maps"]] * len(users), pa.list_(pa.string()))),
    )


def write_training_set(examples: Examples, folder: Path) -> None:
    """Write the files of build_training_set; without times where sessions are unknown."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "user_id": pa.array(examples.user_ids, pa.string()),
        "label": pa.array(examples.labels, pa.int32()),
        "as_of": pa.array(examples.as_of, pa.timestamp("us", "UTC")),
        "app_ids": examples.installs.to_lists(),
    }
    if not np.isnan(examples.installs.installs_per_session()):
        columns["event_times"] = make_times(examples.installs)
    table = pa.table(columns)
    pq.write_table(table, folder / "part-00000.snappy.parquet")
    (folder / FACTS_FILE).write_text(json.dumps(FACTS))

"""Memory of a training, by number of users: `make bench-memory`.

In   training sets of 10,000 to 1,000,000 simulated users, as Parquet files in a temporary folder
Out  for each, from its own process: peak memory, size of the files, and seconds of each part

The bench runs all parts that walk through the users: reading, the split, vocabulary and tokens, the
embeddings' start vectors, one linear member, one epoch of batches, and some training steps. Whole epochs of
the encoder would add hours but no memory: a step's memory depends on its batch alone.
"""

import json
import multiprocessing
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from bench.made_up_users import simulate_users
from jobs.training_set.reader import FACTS_FILE, KEYS

USERS_PER_FILE = 50_000
SIZES = [10_000, 100_000, 1_000_000]
STEPS = 50
MIB = 2**20


def write_training_set(users: int, folder: Path) -> None:
    """Write the files that build_training_set would write, some users at a time."""
    folder.mkdir()
    for number, first in enumerate(range(0, users, USERS_PER_FILE)):
        size = min(USERS_PER_FILE, users - first)
        examples = simulate_users(size, seed=number, catalogue_seed=0).examples
        columns = [
            pa.array([f"{number:03d}-{user_id}" for user_id in examples.user_ids], pa.string()),
            pa.array(examples.labels),
            pa.array(examples.as_of, KEYS.field("as_of").type),
            examples.installs.to_lists(),
        ]
        pq.write_table(pa.table(columns, [*KEYS.names, "app_ids"]), folder / f"part-{number:05d}.parquet")
    (folder / FACTS_FILE).write_text(json.dumps({"table": "simulated"}))


def train_a_little(folder: Path) -> dict[str, float]:
    """Run each part of a training; return its seconds, and this process's peak memory in bytes."""
    # Imported here: the process that writes the files needs none of it, and a child's memory counts on its
    # own.
    from jobs.encoder.classifier import build_classifier
    from jobs.training.fit.batches import shuffled_batches, steps_per_epoch, training_batches
    from jobs.training.fit.optimizer import compile_classifier
    from jobs.training.fit.schedule import make_schedule
    from jobs.training.linear import fit_linear
    from jobs.training.prepared import prepare
    from jobs.training.settings import TrainingSettings
    from jobs.training.start.starting_weights import choose_starting_weights
    from jobs.training_set.reader import read_training_set
    from jobs.training_set.splits import split_by_user

    settings = TrainingSettings()
    seconds: dict[str, float] = {"started with": psutil.Process().memory_info().rss}
    started = time.monotonic()

    def note(part: str) -> None:
        nonlocal started
        seconds[part] = time.monotonic() - started
        started = time.monotonic()

    split = split_by_user(read_training_set(folder).examples)
    note("read and split")
    prepared = prepare(split.train, settings)
    config, data = prepared.config, prepared.users
    note("tokens")
    choose_starting_weights(prepared, settings.training, 0, None, print)
    note("vectors")
    fit_linear(data.tokens, data.labels, config.vocabulary_size, max_order=3, c=1.0)
    note("3-grams")
    read = data.tokens.last(config.max_sequence_length)
    steps = steps_per_epoch(len(read), settings.training)
    batches = shuffled_batches(read.lengths, settings.training)
    for _, (batch, _) in zip(range(steps), batches, strict=False):
        read.padded(batch)
    note("an epoch of batches")
    model = build_classifier(config)
    schedule = make_schedule(settings.training, steps, steps)
    compile_classifier(model, settings.training, schedule, data.tokens.count(config.vocabulary_size))
    model.fit(training_batches(data, settings.training), steps_per_epoch=STEPS, verbose=0, shuffle=False)
    note(f"{STEPS} steps")
    return {**seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def measure(users: int) -> dict[str, str]:
    """Measure one size: one row of the table."""
    with TemporaryDirectory(prefix="training_memory_") as scratch:
        folder = Path(scratch) / "training_set"
        write_training_set(users, folder)
        size = sum(file.stat().st_size for file in folder.iterdir())
        with multiprocessing.get_context("spawn").Pool(1) as child:
            found = child.apply(train_a_little, [folder])
    start, peak = found.pop("started with"), found.pop("peak")
    return {
        "users": f"{users:,}",
        "Parquet": f"{size / MIB:,.0f} MiB",
        "peak memory": f"{peak / MIB:,.0f} MiB",
        "of that the process itself": f"{start / MIB:,.0f} MiB",
        **{part: f"{seconds:.1f} s" for part, seconds in found.items()},
    }


def main(
    sizes: Annotated[list[int], typer.Option("--users", help="repeated: users of each training set")] = SIZES,
) -> None:
    """Measure one size after the other."""
    for users in sizes:
        print("  ".join(f"{name} {value}" for name, value in measure(users).items()), flush=True)


if __name__ == "__main__":
    typer.run(main)

"""Time of an epoch in batches of similar length, beside batches padded to 128 installs: `make bench-batches`.

In   the simulator's users, most of whom have far fewer installs than 128
Out  seconds per epoch of both, in turns in one process, and their ratio
"""

import statistics
import time
from collections.abc import Iterator
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
import typer
from numpy.typing import NDArray

from bench.made_up_users import simulate_users
from jobs.encoder.classifier import build_classifier
from jobs.training.fit.batches import (
    LABELLED_BATCH,
    LabelledSequences,
    steps_per_epoch,
    stream,
    training_batches,
)
from jobs.training.fit.optimizer import compile_classifier
from jobs.training.fit.schedule import make_schedule
from jobs.training.prepared import prepare
from jobs.training.settings import TrainingSettings

Batch = tuple[NDArray[np.int32], NDArray[np.float32]]


def padded_batches(data: LabelledSequences, batch_size: int, width: int) -> tf.data.Dataset:
    """Endless shuffled batches, with every row padded to `width`."""

    def batches() -> Iterator[Batch]:
        random = np.random.default_rng(1)
        while True:
            shuffled = random.permutation(len(data.labels))
            for start in range(0, len(shuffled), batch_size):
                chosen = shuffled[start : start + batch_size]
                rows = data.tokens.padded(chosen)
                yield (
                    np.pad(rows, [(0, 0), (0, width - rows.shape[1])]),
                    data.labels[chosen].astype(np.float32),
                )

    return stream(batches, LABELLED_BATCH)


def time_epoch(model: keras.Model, batches: tf.data.Dataset, steps: int) -> float:
    """Train one epoch, and return its seconds."""
    started = time.perf_counter()
    model.fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False)
    return time.perf_counter() - started


def main(
    users: Annotated[int, typer.Option(help="made up by the simulator")] = 4_000,
    rounds: Annotated[int, typer.Option(min=1, help="epochs of each kind")] = 3,
) -> None:
    """Time epochs of both kinds in turns."""
    settings = TrainingSettings()
    width = settings.encoder.max_sequence_length
    prepared = prepare(simulate_users(users, seed=1).examples, settings)
    config, data = prepared.config, prepared.users
    data = LabelledSequences(data.tokens.last(width), data.labels)
    steps = steps_per_epoch(len(data.labels), settings.training)
    model = build_classifier(config)
    schedule = make_schedule(settings.training, steps, steps * rounds)
    compile_classifier(model, settings.training, schedule, data.tokens.count(config.vocabulary_size))
    kinds = {
        "similar length": training_batches(data, settings.training),
        f"padded to {width}": padded_batches(data, settings.training.batch_size, width),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, batches in kinds.items():
            taken = time_epoch(model, batches, steps)
            if number:  # the first round traces the graph
                seconds[kind].append(taken)
    bucketed, padded = (statistics.median(all_rounds) for all_rounds in seconds.values())
    lengths = data.tokens.lengths
    print(f"{len(lengths):,} users of {lengths.mean():.0f} installs on average, {steps} steps per epoch")
    for kind, all_rounds in seconds.items():
        fastest, slowest = min(all_rounds), max(all_rounds)
        print(f"{kind}: {statistics.median(all_rounds):.1f} s per epoch ({fastest:.1f} to {slowest:.1f})")
    print(f"batches of similar length are {padded / bucketed:.1f} times as fast")


if __name__ == "__main__":
    typer.run(main)

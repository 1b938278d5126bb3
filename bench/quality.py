"""Ranking quality of the default recipe, its baselines and the best possible score: `make bench-quality`.

In   users made up by the simulator and by an order-only generator, of several sizes and seeds
     functions of installed packages
Out  a table on the screen, and docs/quality/DATE.md

AUC is on held-out users: a fifth of each set, and many more where users are made up. "reachable" is the AUC
of the true risk; "way to it" is the model's share of the way from 0.5 to it. Differences are paired:
both models score the same users. A standard error is that of the mean over seeds, from each seed's paired
bootstrap of its held-out users. The calibration error (ECE) stands beside the one that true probabilities
exceed by chance in 5% of sets of that size.
"""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import psutil
import typer
from sklearn.metrics import roc_auc_score

from bench.code_users import instruction_users, name_users
from bench.made_up_users import MadeUp, order_only_users, simulate_users, user_id
from jobs.evaluation.intervals import Difference, calibration_error_by_chance
from jobs.evaluation.markdown import write_table
from jobs.evaluation.report import Report
from jobs.training.measuring import MODEL, WITHOUT_ENCODER, measure_trained
from jobs.training.recipe import train
from jobs.training.settings import TrainingSettings
from jobs.training_set.examples import Examples
from jobs.training_set.splits import Split, split_by_user
from settings import REPOSITORY

SEEDS = 3
# "way to it" is a ratio of two measured values, and a fifth of a set is too few users to tell 97% from 96%.
# Made-up users cost nothing.
MORE_HELD_OUT = 10_000


@dataclass(frozen=True)
class Generator:
    """A source of users."""

    make: Callable[[int, int], MadeUp]  # from a number of users and a seed
    sizes: tuple[int, ...]
    # Draws from the same packages overlap, so their errors are not independent, and the number of users is
    # limited.
    is_real: bool = False


GENERATORS = {
    "simulator": Generator(simulate_users, (2_000, 6_000, 20_000)),
    "order only": Generator(order_only_users, (2_000, 6_000)),
    "instructions": Generator(instruction_users, (5_000,), is_real=True),
    "names": Generator(name_users, (5_000,), is_real=True),
}


@dataclass(frozen=True)
class Measured:
    """One training on one set."""

    generator: str
    users: int
    seed: int
    report: Report
    reachable: float  # AUC of the true risk; NaN where it is unknown
    seconds: float  # of the training, without the evaluation


def measure(generator: str, users: int, seed: int) -> Measured:
    """Train the default recipe on one set and measure it."""
    more = 0 if GENERATORS[generator].is_real else MORE_HELD_OUT
    made_up = GENERATORS[generator].make(users + more, seed)
    split = hold_out(made_up.examples, users)
    started = time.monotonic()
    trained = train(split.train, TrainingSettings(), lambda *_: None)
    seconds = time.monotonic() - started
    return Measured(
        generator, users, seed, measure_trained(split, trained, seed), reach(made_up, split), seconds
    )


def hold_out(examples: Examples, users: int) -> Split:
    """Split the first `users` users as a training does, and also hold out all others."""
    train = split_by_user(examples.take(np.flatnonzero(examples.user_ids < user_id(users)))).train
    held_out = np.flatnonzero(~np.isin(examples.user_ids, train.user_ids))
    return Split(train, examples.take(held_out), "by a hash of the user id, and users beyond the set")


def reach(made_up: MadeUp, split: Split) -> float:
    """AUC of the true risk on the test users."""
    if made_up.true_risk is None:
        return float("nan")
    risk = dict(zip(made_up.examples.user_ids, made_up.true_risk, strict=True))
    return float(roc_auc_score(split.test.labels, [risk[user] for user in split.test.user_ids]))


def summarize(measured: list[Measured]) -> pd.DataFrame:
    """One row for each generator and size: means over seeds, with standard errors of the differences."""
    sets: dict[tuple[str, int], list[Measured]] = {}
    for one in measured:
        sets.setdefault((one.generator, one.users), []).append(one)
    return pd.DataFrame([summarize_set(*key, seeds) for key, seeds in sets.items()])


def summarize_set(generator: str, users: int, seeds: list[Measured]) -> dict[str, object]:
    """Means over the seeds of one set."""
    auc = {name: mean_auc(seeds, name) for name in seeds[0].report.metrics}
    reachable = float(np.mean([one.reachable for one in seeds]))
    return {
        "users": f"{generator}, {users:,}",
        "held out": f"{len(seeds)} x {len(seeds[0].report.labels):,}",
        **{name: f"{value:.4f}" for name, value in auc.items()},
        "reachable": "unknown" if np.isnan(reachable) else f"{reachable:.4f}",
        "way to it": "unknown" if np.isnan(reachable) else f"{(auc[MODEL] - 0.5) / (reachable - 0.5):.1%}",
        "model - best baseline": mean_difference(
            [one.report.differences[one.report.best_baseline]["auc"] for one in seeds]
        ),
        "lift by the encoder": mean_difference(
            [one.report.differences[WITHOUT_ENCODER]["auc"] for one in seeds]
        ),
        "ECE (by chance)": mean_calibration_error(seeds),
        "training": f"{np.mean([one.seconds for one in seeds]):.0f} s",
    }


def mean_calibration_error(seeds: list[Measured]) -> str:
    """Mean ECE of the model, and the mean that true probabilities exceed in 5% of sets of that size."""
    found = [one.report.metrics[MODEL]["ece"].value for one in seeds]
    by_chance = [
        calibration_error_by_chance(one.report.labels, one.report.probabilities[MODEL], one.seed)
        for one in seeds
    ]
    return f"{np.mean(found):.3f} ({np.mean(by_chance):.3f})"


def mean_auc(seeds: list[Measured], name: str) -> float:
    """Mean AUC of one model."""
    return float(np.mean([one.report.metrics[name]["auc"].value for one in seeds]))


def mean_difference(differences: list[Difference]) -> str:
    """Mean and standard error of differences on independent sets."""
    mean = np.mean([one.value for one in differences])
    error = np.sqrt(np.sum([one.standard_error**2 for one in differences])) / len(differences)
    return f"{mean:+.4f} ± {error:.4f}"


def write(table: pd.DataFrame, command: str, minutes: float, folder: Path) -> Path:
    """Write the table, with its date and machine, to a page in `folder`."""
    today = datetime.now(UTC).date()
    memory = psutil.virtual_memory().total / 2**30
    lines = [
        f"# Quality of the default recipe, {today}",
        "",
        f"`{command}`, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, {minutes:.0f} min. "
        "AUC is on held-out users, as a mean over seeds; ± is one standard error of a paired difference. "
        "`reachable` is the AUC of the true risk; `way to it` is the model's share of the way from 0.5. "
        "In brackets after the calibration error (ECE) stands the one that true probabilities exceed "
        "by chance in 5% of sets of that size.",
        "",
        write_table(list(table.columns), table.itertuples(index=False)),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{today}.md"
    path.write_text("\n".join(lines) + "\n")
    return path


def main(
    seeds: Annotated[int, typer.Option(min=1, help="sets of each size")] = SEEDS,
    smallest: Annotated[int, typer.Option(help="users of the smallest sets that are measured")] = 2_000,
    largest: Annotated[int, typer.Option(help="users of the largest sets that are measured")] = 20_000,
) -> None:
    """Measure the default recipe on all sets between two sizes."""
    started = time.monotonic()
    measured: list[Measured] = []
    for name, generator in GENERATORS.items():
        for users in generator.sizes:
            if not smallest <= users <= largest:
                continue
            for seed in range(1 if generator.is_real else seeds):
                measured.append(measure(name, users, seed))
                one = measured[-1].report
                print(
                    f"{name}, {users:,} users, seed {seed}: "
                    + ", ".join(f"{model} {m['auc'].value:.4f}" for model, m in one.metrics.items())
                    + f", reachable {measured[-1].reachable:.4f}, {measured[-1].seconds:.0f} s",
                    flush=True,
                )
    table = summarize(measured)
    print(table.to_string(index=False))
    command = f"python -m bench.quality --seeds {seeds} --smallest {smallest} --largest {largest}"
    print(write(table, command, (time.monotonic() - started) / 60, REPOSITORY / "docs" / "quality"))


if __name__ == "__main__":
    typer.run(main)

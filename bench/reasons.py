"""How many users a second a night scores without reasons and with reasons for some: `make bench-reasons`.

In   the simulator's users, and a model of the default sizes; what it has learned changes no cost
Out  users per second of one core by share of explained users, in turns in one process, and what reasons cost
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from bench.made_up_users import simulate_users
from jobs.encoder.classifier import build_classifier
from jobs.scoring.engine import ScoringModel, cap_threads, load
from jobs.scoring.reasons import ReasonsOptions
from jobs.scoring.stream import score_stream
from jobs.training.app_sequences import AppSequences
from jobs.training.dataset import Examples
from jobs.training.export import export_saved_model
from jobs.training.held_out import BAG_OF_APPS, ENCODER, NGRAMS
from jobs.training.linear import BAG_ORDER, NGRAM_ORDERS, fit_linear
from jobs.training.recipe import Settings, join, prepare
from jobs.training.sessions import SESSION_GAP
from jobs.training.stacking import Stack

SHARES = (0.01, 0.05)  # of the users, explained
ROWS_PER_BATCH = 10_000  # as Spark hands them to a task
MAX_TOKENS_PER_BATCH = 8_192  # as score_users has it
TOP_REASONS = 3


def make_model(examples: Examples) -> ScoringModel:
    """Export a model of the default sizes, its encoder untrained, and load it as a night does."""
    settings = Settings()
    tokenizer, config, data = prepare(examples, settings)
    linear = {
        name: fit_linear(data.tokens, data.labels, config.vocabulary_size, order, c=1.0)
        for name, order in ((BAG_OF_APPS, BAG_ORDER), (NGRAMS, min(NGRAM_ORDERS)))
    }
    stack = Stack(dict.fromkeys((ENCODER, *linear), 1.0), intercept=-1.0)
    model = join(build_classifier(config), linear, stack, tokenizer.max_history)
    with TemporaryDirectory(prefix="bench_reasons_") as scratch:
        export_saved_model(model, tokenizer, Path(scratch) / "model")
        return load(Path(scratch) / "model")


def make_times(installs: AppSequences) -> pa.ListArray:
    """Times by which the installs fall into their sessions."""
    pauses = np.where(installs.codes.flatten() < 0, SESSION_GAP, np.timedelta64(1, "m"))
    offsets = np.concatenate([[0], np.cumsum(installs.lengths)]).astype(np.int32)
    times = np.datetime64("2026-01-01", "us") + np.cumsum(pauses)
    return pa.ListArray.from_arrays(offsets, pa.array(times))


def score_all(
    batches: Sequence[pa.RecordBatch], model: ScoringModel, reasons: ReasonsOptions | None
) -> pa.Table:
    """Scores of all users."""
    return pa.Table.from_batches(score_stream(batches, model, MAX_TOKENS_PER_BATCH, reasons))


def main(
    users: Annotated[int, typer.Option(help="made up by the simulator")] = 4_000,
    rounds: Annotated[int, typer.Option(min=1, help="nights of each kind")] = 3,
) -> None:
    """Time nights of all kinds in turns."""
    cap_threads(1)  # a Spark task owns one core
    examples = simulate_users(users, seed=1).examples
    model = make_model(examples)
    night = pa.table(
        {
            "user_id": examples.user_ids,
            "app_ids": examples.app_ids.to_lists(),
            "event_times": make_times(examples.app_ids),
        }
    )
    batches = night.to_batches(ROWS_PER_BATCH)
    scores = score_all(batches, model, None)["risk_score"].to_numpy()
    kinds: dict[str, ReasonsOptions | None] = {"without reasons": None}
    for share in SHARES:
        threshold = float(np.quantile(scores, 1.0 - share))
        kinds[f"reasons for {share:.0%}"] = ReasonsOptions(threshold, TOP_REASONS)
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    explained = {}
    for number in range(rounds + 1):
        for kind, reasons in kinds.items():
            started = time.perf_counter()
            scored = score_all(batches, model, reasons)
            if number:  # the first calls of a signature are slower
                rates[kind].append(len(scored) / (time.perf_counter() - started))
            explained[kind] = len(scored) - scored["reasons"].null_count
    lengths = examples.app_ids.lengths
    print(f"{len(lengths):,} users of {lengths.mean():.0f} installs on average, one core")
    unexplained = statistics.median(rates["without reasons"])
    for kind, all_rounds in rates.items():
        rate = statistics.median(all_rounds)
        print(f"{kind}: {rate:,.0f} users/s ({min(all_rounds):,.0f} to {max(all_rounds):,.0f})")
        if explained[kind]:
            cost = (unexplained / rate - 1.0) * len(lengths) / explained[kind]
            print(
                f"  {explained[kind]:,} explained users, each of whom costs as much as {cost:,.0f} scored ones"
            )


if __name__ == "__main__":
    typer.run(main)

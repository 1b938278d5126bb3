"""Cost of reasons in a night, and their error: `make bench-reasons`.

In   the simulator's users and real instruction sequences, and models of the default sizes trained on them
Out  users per second of one core by share of explained users, in turns in one process
     error of explanations: how far contributions and baseline are from the logit, as a share of the logit's
     distance from the baseline
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

from bench.code_users import instruction_users
from bench.made_up_users import make_times, simulate_users
from jobs.export.saved_model import export_saved_model
from jobs.runs.names import BAG_OF_APPS, ENCODER, NGRAMS
from jobs.scoring.engine import ScoringModel, cap_threads, load
from jobs.scoring.reasons import ReasonsOptions
from jobs.scoring.stream import score_stream
from jobs.sequences.batching import FloatArray
from jobs.training.fit.classifier import fit_classifier
from jobs.training.linear import BAG_ORDER, NGRAM_ORDERS, fit_linear
from jobs.training.prepared import prepare
from jobs.training.recipe import join
from jobs.training.settings import TrainingSettings
from jobs.training.stacking import Stack
from jobs.training_set.examples import Examples

SHARES = (0.01, 0.05)  # of the users, explained
ROWS_PER_BATCH = 10_000  # as Spark hands them to a task
MAX_TOKENS_PER_BATCH = 8_192  # as score_users has it
TOP_REASONS = 3
EPOCHS = 4  # an encoder that has learned little is easy to explain
EXPLAINED = 256


def make_model(examples: Examples) -> ScoringModel:
    """Train and export a model of the default sizes and load it as a night does."""
    settings = TrainingSettings()
    prepared = prepare(examples, settings)
    tokenizer, config, data = prepared.tokenizer, prepared.config, prepared.users
    linear = {
        name: fit_linear(data.tokens, data.labels, config.vocabulary_size, order, c=1.0)
        for name, order in ((BAG_OF_APPS, BAG_ORDER), (NGRAMS, min(NGRAM_ORDERS)))
    }
    options = settings.training.model_copy(update={"max_epochs": EPOCHS})
    fit = fit_classifier(config, options, data, None, lambda _: None)
    stack = Stack(dict.fromkeys((ENCODER, *linear), 1.0), intercept=-1.0)
    model = join(fit.model, linear, stack, tokenizer.max_history)
    with TemporaryDirectory(prefix="bench_reasons_") as scratch:
        export_saved_model(model, tokenizer, Path(scratch) / "model")
        return load(Path(scratch) / "model")


def make_night(examples: Examples) -> pa.Table:
    """The examples as the rows that a night scores."""
    return pa.table(
        {
            "user_id": examples.user_ids,
            "app_ids": examples.installs.to_lists(),
            "event_times": make_times(examples.installs),
        }
    )


def find_missed(model: ScoringModel, users: pa.Table) -> FloatArray:
    """Error of each user's explanation, as a share of the logit's distance from the baseline: `(users,)`."""
    tokens = model.encode(*(users[name].combine_chunks() for name in ("app_ids", "event_times")))
    explained = model.explain(tokens.padded(np.arange(len(tokens))))
    added = explained.logits - explained.baseline_logits
    missed: FloatArray = np.abs(explained.contributions.sum(axis=1, dtype=np.float64) - added)
    return missed / np.abs(added)


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
    night = make_night(examples)
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
    lengths = examples.installs.lengths
    print(f"{len(lengths):,} users of {lengths.mean():.0f} installs on average, one core")
    unexplained = statistics.median(rates["without reasons"])
    for kind, all_rounds in rates.items():
        rate = statistics.median(all_rounds)
        print(f"{kind}: {rate:,.0f} users/s ({min(all_rounds):,.0f} to {max(all_rounds):,.0f})")
        if explained[kind]:
            cost = (unexplained / rate - 1.0) * len(lengths) / explained[kind]
            print(f"  {explained[kind]:,} explained users; each costs as much as {cost:,.0f} scored users")
    report_missed("simulated users", find_missed(model, night.slice(0, EXPLAINED)))
    functions = instruction_users(users, seed=1).examples
    night = make_night(functions.take(np.random.default_rng(1).permutation(len(functions))[:EXPLAINED]))
    report_missed("instruction sequences", find_missed(make_model(functions), night))


def report_missed(kind: str, missed: FloatArray) -> None:
    """Print quantiles of the errors of explanations."""
    median, rare, most = np.quantile(missed, (0.5, 0.99, 1.0))
    print(
        f"contributions of {len(missed)} {kind} miss the logit's distance from the baseline by {median:.3%} "
        f"in the median, {rare:.3%} in the 99th percentile, {most:.3%} at most"
    )


if __name__ == "__main__":
    typer.run(main)

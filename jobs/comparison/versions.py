"""Registered versions as contestants: their training users, and their scores of the same users.

In   version numbers; users' installs
Out  Contestant(number=4, sha256="0123…", run_id="3f2a…", facts of its training set, its training users)
     Scored(probabilities float64 (examples,) as a night would compute them, each user's share of unknown
     apps)
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
from numpy.typing import NDArray

from jobs.encoder.tokens import UNKNOWN_TOKEN_ID
from jobs.evaluation.metrics import to_probabilities
from jobs.runs.artifacts import load_trained_on
from jobs.scoring import engine
from jobs.sequences.app_sequences import AppSequences
from jobs.sequences.batching import predict_in_batches
from jobs.sequences.token_sequences import count_token
from jobs.training_set.trained_on import TrainedOn
from model_registry.hashing import verify_folder
from model_registry.tracking.model_tracking import ModelTracking

FACTS_PREFIX = "training_set."  # of the tags of a training run
# Tokens, padding included, in one call of a model: bounds memory, as in nightly scoring.
MAX_TOKENS_PER_BATCH = 32 * 1024


@dataclass(frozen=True)
class Contestant:
    """A registered version and its training run."""

    number: int
    sha256: str
    run_id: str
    facts: dict[str, str]  # of its training set: location, table, training_date, …
    params: dict[str, str]  # of its training run
    trained_on: TrainedOn | None  # None if its run did not record them

    @property
    def name(self) -> str:
        """Name on pages and in logs."""
        return f"version {self.number}"


@dataclass(frozen=True)
class Scored:
    """Scores of one version."""

    probabilities: NDArray[np.float64]  # (examples,)
    unknown_shares: NDArray[np.float64]  # (examples,), of the installs that the version reads


def find_contestant(tracking: ModelTracking, number: int) -> Contestant:
    """Look up the version and its training run.

    Raises:
        VersionMissingError: no such version.
    """
    version = tracking.version(number)
    run_id = tracking.run_id(number)
    data = mlflow.get_run(run_id).data
    facts = {
        name.removeprefix(FACTS_PREFIX): value
        for name, value in data.tags.items()
        if name.startswith(FACTS_PREFIX)
    }
    return Contestant(number, version.sha256, run_id, facts, dict(data.params), load_trained_on(run_id))


def score_contestant(tracking: ModelTracking, contestant: Contestant, installs: AppSequences) -> Scored:
    """Download the version's SavedModel, verify it, and score users with the engine of the nightly scoring.

    Raises:
        HashMismatchError: the artifacts of its run differ from what was registered.
        UnusableModelError: nightly scoring could not use it either.
    """
    with TemporaryDirectory(prefix="compare_") as scratch:
        folder = tracking.download_saved_model(contestant.run_id, Path(scratch))
        verify_folder(folder, contestant.sha256)
        model = engine.load(folder)
        tokens = model.tokenizer.translate(installs)
        longest = int(tokens.lengths.max(initial=1))
        _, logits = predict_in_batches(tokens, model.predict, max(MAX_TOKENS_PER_BATCH, longest))
    # From logits, in float64: the model's own float32 probabilities near 1 would be equal.
    return Scored(to_probabilities(logits), count_token(tokens, UNKNOWN_TOKEN_ID) / tokens.lengths)

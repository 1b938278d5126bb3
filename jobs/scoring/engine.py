"""One SavedModel, loaded once in a Python worker and called with dense token ids.

In   the model's folder as SparkFiles delivered it, its pinned sha256, and how many threads the task owns
Out  token_ids int32 (batch, sequence), 0-padded  →  risk_score, logit: float64 (batch,)
                                                  →  contributions: float32 (batch, sequence), where asked for

TensorFlow is imported only after the folder's bytes proved to be the pinned ones.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.sequences.batching import FloatArray
from jobs.sequences.token_sequences import TokenSequences
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.tokenizer_files import (
    EXPLAIN_TOKEN_IDS,
    SCORE_TOKEN_IDS,
    UnusableModelError,
    read_tokenizer,
)
from model_registry.hashing import verify_folder

# One entry per model that this worker process has scored with; a night uses one.
_loaded_by_sha256: dict[str, "ScoringModel"] = {}


class EmptySequenceError(ValueError):
    """A user has no installs, so a score would be a guess at best and NaN at worst."""


@dataclass(frozen=True)
class Explanation:
    """What installs add to logits: `baseline_logits` plus a user's contributions is the user's logit."""

    contributions: NDArray[np.float32]  # (batch, sequence), 0 at padding
    logits: FloatArray  # (batch,)
    baseline_logits: FloatArray  # (batch,)


class ScoringModel:
    """A SavedModel with its tokenizer; `encode`, `predict` and `explain` are all that scoring needs of it."""

    def __init__(self, saved_model: Any, tokenizer: Tokenizer) -> None:
        self._saved_model = saved_model  # a signature alone does not keep the variables alive
        self._signature = self._find_signature(SCORE_TOKEN_IDS)
        self.tokenizer = tokenizer

    def encode(self, app_ids: pa.ListArray, event_times: pa.ListArray | None = None) -> TokenSequences:
        """Map app ids, one list per user, to token ids; without times each user is one session."""
        return encode_app_ids(app_ids, event_times, self.tokenizer)

    def predict(self, token_ids: NDArray[np.int32]) -> tuple[FloatArray, FloatArray]:
        """Score a dense batch `(batch, sequence)`: risk scores and logits, `(batch,)` each."""
        import tensorflow as tf

        answer = self._signature(token_ids=tf.constant(token_ids))
        return (
            answer["risk_score"].numpy().astype(np.float64),
            answer["logit"].numpy().astype(np.float64),
        )

    def explain(self, token_ids: NDArray[np.int32]) -> Explanation:
        """Explain a dense batch `(batch, sequence)`; costs as much as scoring it a hundred times or more (`make bench-reasons`).

        Raises:
            UnusableModelError: the model was exported before models could explain.
        """
        import tensorflow as tf

        answer = self._find_signature(EXPLAIN_TOKEN_IDS)(token_ids=tf.constant(token_ids))
        return Explanation(
            contributions=answer["contributions"].numpy(),
            logits=answer["logit"].numpy().astype(np.float64),
            baseline_logits=answer["baseline_logit"].numpy().astype(np.float64),
        )

    def _find_signature(self, name: str) -> Any:
        signatures = self._saved_model.signatures
        if name not in signatures:
            found = ", ".join(sorted(signatures)) or "none"
            raise UnusableModelError(f"expected a SavedModel with signature {name}, found: {found}")
        return signatures[name]


def load_once(path: Path, sha256: str, num_threads: int) -> ScoringModel:
    """Verify and load the model, or return the one that this process verified and loaded before.

    The process computes with `num_threads` threads from here on.

    Raises:
        HashMismatchError: the folder's bytes are not the pinned ones; TensorFlow has not seen them.
        UnusableModelError: a signature, the vocabulary or the description is missing or contradicts another.
    """
    if sha256 not in _loaded_by_sha256:
        verify_folder(path, sha256)
        cap_threads(num_threads)
        _loaded_by_sha256[sha256] = load(path)
    return _loaded_by_sha256[sha256]


def cap_threads(num_threads: int) -> None:
    """Limit TensorFlow in this process; it must not have computed anything yet."""
    import tensorflow as tf

    # Executors run one worker per task side by side: with TensorFlow's default, all cores each, they fight.
    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(num_threads)


def load(path: Path) -> ScoringModel:
    """Load a folder that was verified before."""
    tokenizer = read_tokenizer(path)
    import tensorflow as tf

    return ScoringModel(tf.saved_model.load(str(path)), tokenizer)


def encode_app_ids(
    app_ids: pa.ListArray, event_times: pa.ListArray | None, tokenizer: Tokenizer
) -> TokenSequences:
    """Map the installs of each user to token ids, as `Tokenizer.encode` does.

    Raises:
        EmptySequenceError: a list is empty or null.
    """
    lengths = pc.fill_null(pc.list_value_length(app_ids), 0).to_numpy()
    empty = int(np.count_nonzero(lengths == 0))
    if empty:
        raise EmptySequenceError(
            f"expected at least one install for every user, got {empty} of {len(lengths)} users without any, "
            f"the first in row {int(np.argmin(lengths))} of the batch; build_sequences must leave them out"
        )
    return tokenizer.encode(app_ids, event_times)

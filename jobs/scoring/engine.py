"""One SavedModel, loaded once in a Python worker and called with dense token ids.

In   the model's folder and signature as SparkFiles delivered them, its pinned sha256, and the number of the
     task's threads
Out  token_ids int32 (batch, sequence), 0-padded  →  risk_score, logit: float64 (batch,)
                                                  →  contributions: float32 (batch, sequence), where asked for

TensorFlow is imported only after the folder's signature and SHA-256 have been checked.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.encoder.operations import find_foreign_operations
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
from model_registry.signing import verify_signature

# One entry for each model that this worker process has scored with; a night uses one.
_loaded_by_sha256: dict[str, "ScoringModel"] = {}


class EmptySequenceError(ValueError):
    """A user has no installs, so a score would be a guess at best and NaN at worst."""


@dataclass(frozen=True)
class Explanation:
    """Contributions of installs to logits: a user's baseline plus contributions is the user's logit."""

    contributions: NDArray[np.float32]  # (batch, sequence), 0 at padding
    logits: FloatArray  # (batch,)
    baseline_logits: FloatArray  # (batch,)


class ScoringModel:
    """A SavedModel with its tokenizer; scoring needs only `encode`, `predict` and `explain`."""

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
        """Explain a dense batch `(batch, sequence)`.

        It costs as much as scoring the batch a hundred times or more (`make bench-reasons`).

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
            existing = ", ".join(sorted(signatures)) or "none"
            raise UnusableModelError(
                f"expected a SavedModel with signature {name}, found: {existing}; train the model again"
            )
        return signatures[name]


def load_once(path: Path, sha256: str, public_key: str, num_threads: int) -> ScoringModel:
    """Verify and load the model, or return the one that this process verified and loaded before.

    The process computes with `num_threads` threads from here on.

    Args:
        public_key: the key that the model was signed by at its promotion.

    Raises:
        UnsignedModelError, SignatureRefusedError: the folder is not as it was signed.
        HashMismatchError: it is not the pinned one. In both cases TensorFlow has not read it.
        UnusableModelError: a signature, the vocabulary or the description is missing, or they do not fit.
    """
    if sha256 not in _loaded_by_sha256:
        verify_model(path, sha256, public_key)
        cap_threads(num_threads)
        _loaded_by_sha256[sha256] = load(path)
    return _loaded_by_sha256[sha256]


def verify_model(path: Path, sha256: str, public_key: str) -> None:
    """Check a folder's signature, which names each file that differs, and that it is the pinned version."""
    verify_signature(path, public_key)
    verify_folder(path, sha256)


def cap_threads(num_threads: int) -> None:
    """Limit TensorFlow's threads in this process; it must not have computed anything yet."""
    import tensorflow as tf

    # Executors run one worker per task side by side. By default each would use all cores and slow the others.
    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(num_threads)


def load(path: Path) -> ScoringModel:
    """Load a folder that has already been verified.

    Raises:
        UnusableModelError: also if its graph holds an operation that no model here needs.
    """
    tokenizer = read_tokenizer(path)
    if foreign := find_foreign_operations(path):
        raise UnusableModelError(
            f"expected a graph of the operations that jobs/encoder/operations.py lists, found {foreign[0]}"
            f"{f' and {len(foreign) - 1} others' if foreign[1:] else ''}: export the model without them, or "
            "extend the list if they read no files and run no code"
        )
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

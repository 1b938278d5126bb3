"""A SavedModel small enough to read: its logit is a linear function of a user's mean token id.

It has the contract of a trained model: signatures `score_token_ids` and `explain_token_ids`, padding without
effect, and `assets.extra/` with the vocabulary and the sizes.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

APPS = ("chat", "maps", "bank", "game")  # tokens 3, 4, 5, 6
MAX_HISTORY = 4


def plain_logit(token_ids: Sequence[int]) -> float:
    """The model's logit for one user, without TensorFlow."""
    return 0.5 * float(np.mean(token_ids)) - 2.0


def plain_contributions(token_ids: Sequence[int]) -> list[float]:
    """Each install's contribution to the logit, above the baseline of -2."""
    return [0.5 * token / len(token_ids) for token in token_ids]


def sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def save_tiny_model(
    path: Path,
    signature: str = "score_token_ids",
    vocabulary_size: int | None = None,
    explains: bool = True,
) -> Path:
    """Write the SavedModel folder; the options make a folder that breaks the contract."""
    import tensorflow as tf

    class TinyModel(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = tf.Variable(0.5)

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32, name="token_ids")])
        def score(self, token_ids):
            is_real = tf.cast(token_ids != 0, tf.float32)
            total = tf.reduce_sum(tf.cast(tf.abs(token_ids), tf.float32), axis=1)
            logit = self.slope * total / tf.reduce_sum(is_real, axis=1) - 2.0
            return {"risk_score": tf.sigmoid(logit), "logit": logit}

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32, name="token_ids")])
        def explain(self, token_ids):
            logit = self.score(token_ids)["logit"]
            installs = tf.reduce_sum(tf.cast(token_ids != 0, tf.float32), axis=1, keepdims=True)
            added = self.slope * tf.cast(tf.abs(token_ids), tf.float32) / installs
            return {"contributions": added, "logit": logit, "baseline_logit": tf.zeros_like(logit) - 2.0}

    model = TinyModel()
    signatures = {signature: model.score}
    if explains:
        signatures["explain_token_ids"] = model.explain
    tf.saved_model.save(model, str(path), signatures=signatures)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / "vocabulary.txt").write_text("".join(f"{app}\n" for app in APPS))
    sizes = {
        "max_history": MAX_HISTORY,
        "reads_sessions": True,
        "vocabulary_size": vocabulary_size or len(APPS) + 3,
        "pad_token_id": 0,
        "unknown_token_id": 1,
    }
    (extra / "model.json").write_text(json.dumps(sizes))
    return path

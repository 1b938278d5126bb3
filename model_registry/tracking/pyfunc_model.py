"""The pyfunc wrapper around the SavedModel, logged as this source file and never pickled.

In   a frame with a user's installs in order, and which of them come 30 minutes or more after the one before
         app_ids ["maps", "chat", "bank"]   begins_session [True, False, True]
     without the column begins_session each user is read as one session
Out  a frame with one row for each
         risk_score 0.0712   logit -2.5683

Self-contained: `mlflow models serve` runs a copy of it where the rest of the repository is not installed.
The nightly scoring never runs it; it calls the SavedModel's signatures itself.
"""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel

# Bounds memory: the model compares all pairs of a row's installs. With 256 rows of 128 installs, one layer's
# attention weights of 4 heads are 67 MB.
PAIRS_PER_CALL = 256 * 128**2
Install = tuple[str, bool]  # app id, and whether it begins a session


class RiskEncoder(PythonModel):
    """Scores raw app ids. Unknown apps are allowed; a user without any install is refused."""

    def load_context(self, context: Any) -> None:
        import tensorflow as tf  # seconds: only when the model is really loaded

        # The loaded object must outlive its signatures.
        self.saved_model = tf.saved_model.load(context.artifacts["saved_model"])
        self.score_app_ids = self.saved_model.signatures["serving_default"]

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        sequences = read_sequences(model_input)
        empty = [row for row, sequence in enumerate(sequences) if not sequence]
        if empty:
            raise MlflowException.invalid_parameter_value(
                f"expected at least one app id in every row; found none in {len(empty)} of {len(sequences)}, "
                f"the first in row {empty[0]}. Leave out users without installs: they have no score."
            )
        longest = max(map(len, sequences), default=1)
        rows_per_call = max(1, PAIRS_PER_CALL // longest**2)
        starts = range(0, len(sequences), rows_per_call)
        scores = [self._score(sequences[start : start + rows_per_call]) for start in starts]
        return pd.DataFrame(np.concatenate(scores), index=model_input.index, columns=["risk_score", "logit"])

    def _score(self, sequences: list[list[Install]]) -> Any:
        """Scores as float64 `(batch, 2)`: risk_score, logit."""
        import tensorflow as tf

        longest = max(map(len, sequences))
        padded = [sequence + [("", False)] * (longest - len(sequence)) for sequence in sequences]
        scores = self.score_app_ids(
            app_ids=tf.constant([[app_id for app_id, _ in row] for row in padded], tf.string),
            begins_session=tf.constant([[begins for _, begins in row] for row in padded], tf.bool),
        )
        return np.stack([scores["risk_score"].numpy(), scores["logit"].numpy()], axis=1).astype(float)


def read_sequences(model_input: pd.DataFrame) -> list[list[Install]]:
    """Read the installs of each row. An app id "" is left out: the signature uses it for padding."""
    app_ids = [list(row) for row in model_input["app_ids"]]
    if "begins_session" in model_input:
        begins = [list(row) for row in model_input["begins_session"]]
    else:
        begins = [[False] * len(row) for row in app_ids]
    for number, (apps, starts) in enumerate(zip(app_ids, begins, strict=True)):
        if len(apps) != len(starts):
            raise MlflowException.invalid_parameter_value(
                "expected app_ids and begins_session of the same length in every row; "
                f"row {number} has {len(apps)} and {len(starts)}"
            )
    return [
        [(app, bool(start)) for app, start in zip(*row, strict=True) if app]
        for row in zip(app_ids, begins, strict=True)
    ]


mlflow.models.set_model(RiskEncoder())

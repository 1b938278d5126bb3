"""A task's stream of record batches, with a model that needs no TensorFlow."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from jobs.scoring.engine import EmptySequenceError, encode_app_ids
from jobs.scoring.stream import SCORE_FIELDS, fill_buffers, score_stream
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary


class CountingModel:
    """Scores a user by the number of its installs and remembers the width of each batch."""

    def __init__(self, max_history=128):
        self.tokenizer = Tokenizer(Vocabulary(("maps",)), max_history, reads_sessions=True)
        self.widths = []

    def encode(self, app_ids, event_times):
        return encode_app_ids(app_ids, event_times, self.tokenizer)

    def predict(self, token_ids):
        self.widths.append(token_ids.shape[1])
        installs = np.count_nonzero(token_ids, axis=1).astype(np.float64)
        return installs / 100, installs


def every_hour(installs):
    return [datetime(2026, 1, 31, tzinfo=UTC) + timedelta(hours=hour) for hour in range(installs)]


def record_batch(*users):
    return pa.RecordBatch.from_arrays(
        [
            pa.array([user_id for user_id, _ in users], pa.string()),
            pa.array([app_ids for _, app_ids in users], pa.list_(pa.string())),
            pa.array(
                [every_hour(len(app_ids or [])) for _, app_ids in users], pa.list_(pa.timestamp("us", "UTC"))
            ),
        ],
        names=["user_id", "app_ids", "event_times"],
    )


def test_users_come_out_in_order_with_exactly_the_score_columns():
    batches = [
        record_batch(("u1", ["maps"]), ("u2", ["maps", "new", "maps"])),
        record_batch(("u3", ["new"] * 2)),
    ]
    (scored,) = score_stream(iter(batches), CountingModel(), max_tokens_per_batch=8)
    assert scored.schema == SCORE_FIELDS
    assert scored.to_pylist() == [
        {
            "user_id": "u1",
            "risk_score": 0.01,
            "logit": 1.0,
            "sequence_length": 1,
            "unknown_apps": 0,
            "reasons": None,
        },
        {
            "user_id": "u2",
            "risk_score": 0.03,
            "logit": 3.0,
            "sequence_length": 3,
            "unknown_apps": 1,
            "reasons": None,
        },
        {
            "user_id": "u3",
            "risk_score": 0.02,
            "logit": 2.0,
            "sequence_length": 2,
            "unknown_apps": 2,
            "reasons": None,
        },
    ]


def test_record_batches_are_sorted_by_length_together():
    model = CountingModel()
    batches = [
        record_batch(("long", ["maps"] * 4), ("short", ["maps"])),
        record_batch(("long too", ["maps"] * 4)),
    ]
    list(score_stream(iter(batches), model, max_tokens_per_batch=8))
    assert model.widths == [4, 1]


def test_length_and_unknown_apps_count_only_installs_that_the_model_read():
    batch = record_batch(("u1", ["new", "new", "maps", "new"]))
    (scored,) = score_stream(iter([batch]), CountingModel(max_history=2), max_tokens_per_batch=8)
    assert (scored["sequence_length"].to_pylist(), scored["unknown_apps"].to_pylist()) == ([2], [1])


def test_a_buffer_ends_with_the_record_batch_that_fills_it():
    batches = [record_batch((user, ["maps"] * 2)) for user in ("u1", "u2", "u3")]
    buffers = list(fill_buffers(iter(batches), CountingModel(), buffer_tokens=4))
    assert [user_ids.to_pylist() for user_ids, _ in buffers] == [["u1", "u2"], ["u3"]]


def test_a_task_without_rows_yields_nothing():
    assert list(score_stream(iter([record_batch()]), CountingModel(), max_tokens_per_batch=8)) == []


def test_a_user_without_installs_stops_the_task():
    with pytest.raises(EmptySequenceError):
        list(score_stream(iter([record_batch(("u1", []))]), CountingModel(), max_tokens_per_batch=8))

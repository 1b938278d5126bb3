"""The encoder against the battery, and its reading of sessions."""

from pathlib import Path

import numpy as np

from jobs.encoder.transformer_encoder import TransformerEncoder
from tests.made_up.layer_battery import BATCH, HEADS, HIDDEN, SEQUENCE, run_layer_battery


def test_transformer_encoder_passes_the_battery(random, padding_mask, tmp_path: Path):
    token_ids = np.where(padding_mask, random.integers(1, 20, (BATCH, SEQUENCE)), 0).astype(np.int32)
    settings = {
        "vocabulary_size": 20,
        "hidden_dim": HIDDEN,
        "num_layers": 2,
        "num_heads": HEADS,
        "intermediate_dim": 16,
        "context_width": 3,
        "dropout": 0.2,
    }
    expected_shape = (BATCH, SEQUENCE, HIDDEN)
    run_layer_battery(TransformerEncoder, settings, {"token_ids": token_ids}, expected_shape, 41, tmp_path)


def test_the_encoder_reads_sessions_from_negative_tokens():
    encoder = TransformerEncoder(20, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=16)
    one_session = np.array([[3, 4, 5, 6]], np.int32)
    first_marked = one_session * [-1, 1, 1, 1]
    two_sessions = one_session * [-1, 1, -1, 1]
    outputs = [np.asarray(encoder(ids.astype(np.int32))) for ids in (one_session, first_marked, two_sessions)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[1] - outputs[2]).max() > 1e-3

"""The layer against the battery, and which neighbours each output sees."""

from pathlib import Path

import numpy as np
import pytest

from jobs.encoder.layers.local_context import LocalContext
from tests.made_up.layer_battery import BATCH, HIDDEN, SEQUENCE, normal, run_layer_battery


def test_local_context_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {
        "inputs": normal(random, BATCH, SEQUENCE, HIDDEN),
        "padding_mask": padding_mask,
        "sessions": np.array([[0, 0, 1, 1, 1]] * BATCH, np.int32),
    }
    settings = {"width": 3, "dropout": 0.2}
    run_layer_battery(LocalContext, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 6, tmp_path)


def test_local_context_sees_neighbours_but_no_padding(random, padding_mask):
    inputs = normal(random, BATCH, SEQUENCE, HIDDEN)
    layer, sessions = LocalContext(width=3), np.zeros((BATCH, SEQUENCE), np.int32)
    before = np.asarray(layer(inputs, padding_mask=padding_mask, sessions=sessions))
    changed = inputs.copy()
    changed[0, 4] += 1.0
    changed[1, 3:] += 1.0  # padding of the second user
    after = np.asarray(layer(changed, padding_mask=padding_mask, sessions=sessions))
    moved = np.abs(after - before).max(axis=-1) > 1e-6
    np.testing.assert_array_equal(moved[0], [False, False, False, True, True])
    assert not moved[1, :3].any()


@pytest.mark.parametrize(("heard", "only_session"), [("session_convolution", True), ("convolution", False)])
def test_half_of_the_filters_see_only_the_session_and_half_all_neighbours(random, heard, only_session):
    inputs, width = np.abs(normal(random, 1, 9, HIDDEN)), 5
    mask, sessions = np.ones((1, 9), bool), np.array([[0, 0, 0, 1, 2, 2, 3, 4, 4]], np.int32)
    seen = np.abs(np.subtract.outer(np.arange(9), np.arange(9))) <= width // 2
    if only_session:
        seen &= sessions[0] == sessions[0][:, None]
    layer = LocalContext(width)
    layer(inputs, padding_mask=mask, sessions=sessions)
    for name in ("convolution", "session_convolution"):
        # Positive like the inputs, so that every neighbour has an effect.
        kernel = getattr(layer, name).kernel
        kernel.assign(np.full(kernel.shape, 0.1 if name == heard else 0.0))
    before = np.asarray(layer(inputs, padding_mask=mask, sessions=sessions))
    for place in range(9):
        changed = inputs.copy()
        changed[0, place] += 1.0
        after = np.asarray(layer(changed, padding_mask=mask, sessions=sessions))
        np.testing.assert_array_equal(np.abs(after - before).max(axis=-1)[0] > 1e-6, seen[place])

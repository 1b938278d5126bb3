"""The layer against the battery, and the places that it encodes."""

from pathlib import Path

import numpy as np

from jobs.encoder.layers.relative_place_encoding import RelativePlaceEncoding, relative_places
from tests.made_up.layer_battery import BATCH, HIDDEN, SEQUENCE, normal, run_layer_battery


def test_relative_place_encoding_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN), "padding_mask": padding_mask}
    run_layer_battery(RelativePlaceEncoding, {}, inputs, (BATCH, SEQUENCE, HIDDEN), 2, tmp_path)


def test_places_run_from_first_to_last_install_whatever_the_padding():
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], dtype=bool)
    expected = [[-1, -0.5, 0, 0.5, 1], [-1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_allclose(relative_places(mask), expected, atol=1e-6)

"""The layer against the battery, and against its equations in numpy."""

from pathlib import Path

import numpy as np

from jobs.encoder.layers.sinusoidal_positional_encoding import SinusoidalPositionalEncoding
from tests.made_up.layer_battery import BATCH, HIDDEN, SEQUENCE, normal, run_layer_battery


def test_sinusoidal_positional_encoding_passes_the_battery(random, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN)}
    settings = {"max_wavelength": 1000.0}
    run_layer_battery(SinusoidalPositionalEncoding, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 0, tmp_path)


def test_positions_are_the_papers_sines_and_cosines():
    encoded = SinusoidalPositionalEncoding()(np.zeros((1, 130, HIDDEN), dtype=np.float32))
    for position in (0, 1, 7, 129):
        for i in range(HIDDEN // 2):
            angle = position / 10_000 ** (2 * i / HIDDEN)
            expected = [np.sin(angle), np.cos(angle)]
            np.testing.assert_allclose(encoded[0, position, 2 * i : 2 * i + 2], expected, atol=2e-5)

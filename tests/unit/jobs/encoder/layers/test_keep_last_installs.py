"""The layer against rows that are cut by hand."""

import keras
import numpy as np
import pytest

from jobs.encoder.layers.keep_last_installs import KeepLastInstalls


def test_symbolic_token_ids_stay_integers():
    kept = KeepLastInstalls(2)(keras.KerasTensor((None, 5), "int32"))
    assert (kept.shape, kept.dtype) == ((None, 2), "int32")


@pytest.mark.parametrize("width", [3, 4, 9])
def test_the_last_installs_of_each_row_are_kept(width):
    rows = np.zeros((3, width), np.int32)
    rows[0, :width] = np.arange(1, width + 1)
    rows[1, :2] = [7, 8]
    kept = np.asarray(KeepLastInstalls(3)(rows))
    expected = [list(range(width - 2, width + 1)), [7, 8, 0], [0, 0, 0]]
    np.testing.assert_array_equal(kept, expected)


def test_a_short_row_stays_as_it_is():
    np.testing.assert_array_equal(KeepLastInstalls(5)(np.array([[4, 9]], np.int32)), [[4, 9]])

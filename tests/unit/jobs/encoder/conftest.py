"""Inputs of layers: three users with 5, 3 and 1 installs."""

import keras
import numpy as np
import pytest

from tests.made_up.layer_battery import SEQUENCE


@pytest.fixture(autouse=True)
def same_weights():
    """Fix the seed, so that results do not depend on chance."""
    keras.utils.set_random_seed(7)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def padding_mask() -> np.ndarray:
    return np.arange(SEQUENCE) < np.array([[5], [3], [1]])  # users with 5, 3 and 1 installs

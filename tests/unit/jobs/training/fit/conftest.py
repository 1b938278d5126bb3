"""Users to fit small classifiers on."""

import pytest

from tests.made_up.labelled_sequences import SMALL, Parts, made_up_users


@pytest.fixture(scope="session")
def parts() -> Parts:
    return SMALL, made_up_users(180, seed=1), made_up_users(60, seed=2)

"""The catalogue of apps."""

import re

import numpy as np
import pytest

from simulator.apps import Category, make_catalogue


def test_ids_are_unique_package_names():
    catalogue = make_catalogue(50_000, np.random.default_rng(1))  # more than there are names without a number
    assert len(set(catalogue.app_ids.tolist())) == 50_000
    assert all(
        re.fullmatch(r"com\.[a-z]+\.[a-z]+\d*", app_id) for app_id in catalogue.app_ids[:1_000].tolist()
    )


def test_an_app_is_drawn_from_the_given_category_and_popular_apps_most_often():
    rng = np.random.default_rng(1)
    catalogue = make_catalogue(80, rng)
    asked = np.repeat(np.arange(len(Category)), 2_000)
    drawn = catalogue.draw(asked, rng)
    assert (catalogue.categories[drawn] == asked).all()
    counts = np.bincount(drawn, minlength=80).reshape(len(Category), 10)
    assert (counts[:, 0] > 2 * counts[:, 1]).all()
    assert (counts[:, 1] > counts[:, 9]).all()


def test_too_few_apps_for_all_categories_are_refused():
    with pytest.raises(ValueError, match="apps must be at least 8"):
        make_catalogue(7, np.random.default_rng(1))

"""Metrics and baseline."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.training.baseline import REGULARISATION_CS, fit_bag_of_apps
from jobs.training.dataset import Examples, split_by_user
from jobs.training.evaluate import measure, to_probabilities
from tests.unit.training.synthetic import made_up_examples


def test_metrics_are_those_worked_out_by_hand():
    metrics = measure(np.array([0, 1, 0, 1], np.int8), np.array([0.1, 0.9, 0.6, 0.4]))
    assert metrics.auc == pytest.approx(3 / 4)  # of four pairs, 0.4 against 0.6 is wrong
    assert metrics.pr_auc == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert metrics.log_loss == pytest.approx(-np.log([0.9, 0.9, 0.4, 0.4]).mean())
    assert metrics.brier == pytest.approx((0.01 + 0.01 + 0.36 + 0.36) / 4)


def test_extreme_logits_keep_their_order():
    probabilities = to_probabilities(np.array([-40.0, 0.0, 30.0], np.float32))
    assert probabilities[0] < probabilities[1] == 0.5 < probabilities[2] < 1.0


def test_app_ids_with_spaces_and_capitals_are_apps_of_their_own():
    def installs(*rows: list[str]) -> pa.ListArray:
        return pa.array(rows, pa.list_(pa.string()))

    labels = np.array([0, 1, 0, 1], np.int8)
    users = np.array(["a", "b", "c", "d"], dtype=object)
    # Split at spaces or in lower case, both kinds of user would look alike.
    apps = installs(["my app", "x"], ["My app", "x"], ["my app", "x"], ["My app", "x"])
    examples = Examples(users, labels, apps)
    probabilities = fit_bag_of_apps(examples, examples).predict(examples)
    assert probabilities[1] > 0.5 > probabilities[0]


def test_the_penalty_is_the_one_best_on_validation_users():
    split = split_by_user(made_up_examples(600, seed=3))
    model = fit_bag_of_apps(split.train, split.validation)
    assert model.regularisation_c in REGULARISATION_CS
    assert measure(split.validation.labels, model.predict(split.validation)).auc == pytest.approx(
        model.validation_auc
    )
    # Learnt from the training users, not from those it is measured on.
    others = fit_bag_of_apps(split.train, split.test)
    assert others.validation_auc != model.validation_auc


def test_apps_that_only_other_users_have_are_ignored():
    split = split_by_user(made_up_examples(300))
    model = fit_bag_of_apps(split.train, split.validation)
    training_apps = set(split.train.app_ids.flatten().to_pylist())
    assert set(model.vectorizer.get_feature_names_out()) == training_apps

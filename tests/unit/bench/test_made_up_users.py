"""Made-up users: which of their properties predict the label."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bench.made_up_users import KINDS, order_only_users


@pytest.fixture(scope="module")
def kinds_by_user():
    made_up = order_only_users(20_000, seed=3)
    apps = made_up.examples.installs.to_lists().to_pylist()
    return made_up, [np.array([int(app.removeprefix("app ")) % KINDS for app in user]) for user in apps]


def test_labels_of_order_only_users_are_as_frequent_as_their_true_risk(kinds_by_user):
    made_up, _ = kinds_by_user
    risk, labels = made_up.true_risk, made_up.examples.labels
    assert roc_auc_score(labels, risk) == pytest.approx(0.81, abs=0.01)
    for low in np.arange(0.0, 1.0, 0.25):
        chosen = (risk >= low) & (risk < low + 0.25)
        assert labels[chosen].mean() == pytest.approx(risk[chosen].mean(), abs=0.025)


def test_apps_of_order_only_users_do_not_predict_the_label(kinds_by_user):
    made_up, kinds = kinds_by_user
    shares = np.array([np.bincount(user, minlength=KINDS) / len(user) for user in kinds])
    for kind in range(KINDS):
        assert roc_auc_score(made_up.examples.labels, shares[:, kind]) == pytest.approx(0.5, abs=0.012)


def test_order_only_users_with_kind_0_right_before_kind_1_have_label_1_more_often(kinds_by_user):
    made_up, kinds = kinds_by_user
    before = np.array([np.sum((user[:-1] == 0) & (user[1:] == 1)) for user in kinds])
    after = np.array([np.sum((user[:-1] == 1) & (user[1:] == 0)) for user in kinds])
    assert roc_auc_score(made_up.examples.labels, before - after) > 0.75

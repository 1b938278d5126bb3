"""Baselines: plain scikit-learn on app ids."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from jobs.evaluation.baseline import BASELINE_ORDERS, NgramAnalyzer, fit_baselines, predict_baseline
from jobs.sequences.app_sequences import AppSequences
from jobs.training_set.examples import Examples
from jobs.training_set.splits import split_by_user
from tests.made_up.examples import made_up_examples

CS = {1: 1.0, 3: 1.0}


def examples_of(rows: list[list[str]], labels: list[int]) -> Examples:
    return Examples(
        user_ids=np.array([f"u{i}" for i in range(len(rows))], dtype=object),
        labels=np.array(labels, np.int8),
        as_of=np.full(len(rows), np.datetime64("2026-01-31", "us")),
        installs=AppSequences.of_lists(pa.array(rows, pa.list_(pa.string()))),
    )


def test_app_ids_with_spaces_and_capitals_are_apps_of_their_own():
    # Split at spaces or in lower case, both kinds of user would look alike.
    rows = [["my app", "x"], ["My app", "x"]] * 4
    bag = fit_baselines(examples_of(rows, [0, 1] * 4), CS)["bag of apps baseline"]
    good, bad = bag.predict_proba(rows[:2])[:, 1]
    assert bad > 0.5 > good


def test_only_ngrams_see_an_order():
    rows, labels = [["a", "b"], ["b", "a"]] * 20, [0, 1] * 20
    baselines = fit_baselines(examples_of(rows, labels), CS)
    apart = {name: np.ptp(one.predict_proba(rows[:2])[:, 1]) for name, one in baselines.items()}
    assert apart["bag of apps baseline"] == pytest.approx(0.0, abs=1e-6)
    assert apart["3-grams baseline"] > 0.2


def test_all_ngrams_up_to_the_order_are_features():
    assert Counter(NgramAnalyzer(2)(["a", "b", "a"])) == {("a",): 2, ("b",): 1, ("a", "b"): 1, ("b", "a"): 1}


def test_baselines_rank_users_that_they_have_not_seen():
    split = split_by_user(made_up_examples(1_500, seed=3))
    baselines = fit_baselines(split.train, CS)
    assert baselines.keys() == BASELINE_ORDERS.keys()
    for baseline in baselines.values():
        scores = predict_baseline(baseline, split.test)
        assert roc_auc_score(split.test.labels, scores) > 0.55

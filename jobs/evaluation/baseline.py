"""Baselines: tf-idf and logistic regression by scikit-learn alone, on the app ids themselves.

In   each training user's app ids and label
Out  pipelines, app ids -> probability

The recipe has linear members of its own (`linear.py`), on tokens and hashed n-grams. These pipelines share no
code with them, so a comparison also shows whether tokens and hashing lose anything.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from jobs.training_set.examples import Examples
from jobs.training_set.weighted_sample import draw_weighted_sample

MAX_ITERATIONS = 1_000
MIN_USERS = 2  # with an n-gram: one user alone is no evidence
ROWS_AT_ONCE = 10_000  # as Python strings, in memory
BAG_OF_APPS_BASELINE, NGRAMS_BASELINE = "bag of apps baseline", "3-grams baseline"
BASELINE_ORDERS = {BAG_OF_APPS_BASELINE: 1, NGRAMS_BASELINE: 3}  # longest n-gram, in installs


def fit_baselines(train: Examples, cs: Mapping[int, float]) -> dict[str, Pipeline]:
    """Fit the baselines on all training users, or on the sample that linear members are fitted on.

    Args:
        cs: inverse strength of the penalty by longest n-gram, as the recipe chose it on held-out users.
    """
    return {name: fit_baseline(train, order, cs[order]) for name, order in BASELINE_ORDERS.items()}


def fit_baseline(train: Examples, max_order: int, c: float) -> Pipeline:
    """Fit one baseline, of n-grams up to `max_order`."""
    chosen = draw_weighted_sample(train.labels)
    train = train.take(chosen.indices)
    return make_pipeline(
        TfidfVectorizer(
            analyzer=NgramAnalyzer(max_order), sublinear_tf=True, min_df=1 if max_order == 1 else MIN_USERS
        ),
        LogisticRegression(C=c, max_iter=MAX_ITERATIONS),
    ).fit(
        train.installs.to_lists().to_pylist(), train.labels, logisticregression__sample_weight=chosen.weights
    )


def predict_baseline(baseline: Pipeline, examples: Examples) -> NDArray[np.float64]:
    """Probabilities of label 1, `(examples,)`."""
    parts = np.array_split(np.arange(len(examples)), max(1, len(examples) // ROWS_AT_ONCE))
    lists = (examples.installs.take(part).to_lists().to_pylist() for part in parts)
    return np.concatenate([baseline.predict_proba(part)[:, 1] for part in lists])


class NgramAnalyzer:
    """All n-grams of a list of app ids, as tuples, since app ids may hold spaces and capitals."""

    def __init__(self, max_order: int) -> None:
        self.max_order = max_order

    def __call__(self, app_ids: list[str]) -> list[tuple[str, ...]]:
        return [
            tuple(app_ids[start : start + order])
            for order in range(1, self.max_order + 1)
            for start in range(len(app_ids) - order + 1)
        ]

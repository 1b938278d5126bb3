"""Bag-of-apps baseline: what the apps say without their order.

In   each user's app ids, and labels of training and validation users
Out  a scikit-learn pipeline, app ids -> probability
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from jobs.training.dataset import Examples

REGULARISATION_CS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class BagOfAppsModel:
    """Tf-idf of a user's apps, then logistic regression."""

    vectorizer: Any
    regression: Any
    regularisation_c: float
    validation_auc: float

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        """Probability of label 1, `(examples,)`."""
        features = self.vectorizer.transform(examples.app_ids.to_pylist())
        probabilities: NDArray[np.float64] = self.regression.predict_proba(features)[:, 1]
        return probabilities


def fit_bag_of_apps(train: Examples, validation: Examples) -> BagOfAppsModel:
    """Fit on the training users, with the C of the highest AUC on the validation users."""
    # `analyzer=list` takes app ids as they are: they may hold spaces and capitals.
    vectorizer = TfidfVectorizer(analyzer=list, sublinear_tf=True)
    train_features = vectorizer.fit_transform(train.app_ids.to_pylist())
    validation_features = vectorizer.transform(validation.app_ids.to_pylist())
    candidates = []
    for c in REGULARISATION_CS:
        regression = LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(train_features, train.labels)
        auc = roc_auc_score(validation.labels, regression.decision_function(validation_features))
        candidates.append(BagOfAppsModel(vectorizer, regression, c, float(auc)))
    return max(
        candidates, key=lambda model: model.validation_auc
    )  # the first of equals: the stronger penalty

"""What held-out users say about a trained model: figures for MLflow, for the log and for the model card.

In   a trained model and the test examples
Out  metrics with intervals by model, paired differences, deciles, slices, a threshold and what it makes of the scores
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jobs.encoder.tokens import UNKNOWN_TOKEN_ID
from jobs.evaluation.baseline import BASELINE_ORDERS, fit_baselines, predict_baseline
from jobs.evaluation.classification import Classification, classify, most_confusing
from jobs.evaluation.intervals import (
    Bootstrap,
    Difference,
    Interval,
)
from jobs.evaluation.metrics import to_probabilities
from jobs.evaluation.slices import slice_metrics
from jobs.sequences.token_sequences import TokenSequences, count_token
from jobs.training.held_out import ENCODER
from jobs.training.recipe import Trained
from jobs.training_set.splits import Split

MODEL = "model"
WITHOUT_ENCODER = "model without encoder"
Probabilities = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Report:
    """Figures of one model on the users that it has not seen."""

    labels: NDArray[np.int8]
    probabilities: Probabilities  # by model, the pipeline's own first
    metrics: dict[str, dict[str, Interval]]  # by model, then metric
    differences: dict[str, dict[str, Difference]]  # model minus each other one, by metric
    deciles: pd.DataFrame
    slices: pd.DataFrame
    classification: Classification
    confusing: pd.DataFrame

    @property
    def best_baseline(self) -> str:
        """The baseline that ranks best on these very users: the hardest comparison."""
        return max(BASELINE_ORDERS, key=lambda name: self.metrics[name]["auc"].value)


def measure_trained(split: Split, trained: Trained, seed: int) -> Report:
    """Measure the model, its members and the baselines on the test users."""
    test = split.test
    tokens = trained.tokenizer.translate(test.installs)
    probabilities = predict_test_users(split, trained, tokens)
    scores = probabilities[MODEL]
    unknown = count_token(tokens, UNKNOWN_TOKEN_ID)
    bootstrap = Bootstrap(test.labels, test.user_ids, seed=seed)
    return Report(
        labels=test.labels,
        probabilities=probabilities,
        metrics={name: bootstrap.metrics(values) for name, values in probabilities.items()},
        differences={
            name: bootstrap.difference(scores, values)
            for name, values in probabilities.items()
            if name != MODEL
        },
        deciles=bootstrap.deciles(scores),
        slices=slice_metrics(bootstrap, scores, tokens.lengths, unknown / tokens.lengths, test.as_of),
        classification=classify(test.labels, scores, trained.threshold),
        confusing=most_confusing(test.user_ids, test.labels, scores, test.installs),
    )


def predict_test_users(split: Split, trained: Trained, tokens: TokenSequences) -> Probabilities:
    """Probabilities of the test users by model, everything fitted on the same training users."""
    logits = trained.member_logits(tokens)
    return {
        MODEL: to_probabilities(trained.stack.combine(logits)),
        WITHOUT_ENCODER: to_probabilities(trained.linear_stack.combine(logits)),
        f"{ENCODER} alone": to_probabilities(logits[ENCODER]),
        **{
            name: predict_baseline(baseline, split.test)
            for name, baseline in fit_baselines(split.train, trained.held_out.cs).items()
        },
    }

"""Stacking: weights of several models, fitted on logits of users that none of them has seen.

In   out-of-fold logits by model    (examples,) each, and the labels
Out  Stack(weights={"encoder": 0.7, "n-grams": 0.4}, intercept=-0.1)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Stack:
    """A weighted sum of logits, itself the logit of a probability."""

    weights: dict[str, float]  # each at least 0
    intercept: float

    def combine(self, logits: Mapping[str, Floats]) -> NDArray[np.float64]:
        """Stacked logits, `(examples,)`."""
        total = np.full(len(next(iter(logits.values()))), self.intercept)
        for name, weight in self.weights.items():
            total += weight * logits[name]
        return total

    @property
    def used(self) -> dict[str, float]:
        """Weights above 0; all weights if none is, and every score is the same."""
        return {name: weight for name, weight in self.weights.items() if weight > 0.0} or self.weights

    def log_likelihood(self, logits: Mapping[str, Floats], labels: NDArray[np.int8]) -> float:
        """Log-likelihood of all labels, in nats."""
        return float(-np.logaddexp(0.0, np.where(labels == 1, -1.0, 1.0) * self.combine(logits)).sum())


def fit_stack(logits: Mapping[str, Floats], labels: NDArray[np.int8]) -> Stack:
    """Minimise the log loss over weights of at least 0 and an intercept.

    Weights below 0 would let models correct each other's noise (Breiman, 1996, "Stacked regressions"). With
    one model it is Platt scaling: the result is calibrated on the given users. A penalty of half the squared
    weights keeps them finite when a model separates the labels.
    """
    columns = np.stack([np.asarray(column, dtype=np.float64) for column in logits.values()], axis=1)
    signs = np.where(labels == 1, 1.0, -1.0)

    def penalised_loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, intercept = parameters[:-1], parameters[-1]
        margins = signs * (columns @ weights + intercept)
        pull = -signs / (1.0 + np.exp(np.clip(margins, -700, 700)))
        loss = np.logaddexp(0.0, -margins).sum() + 0.5 * weights @ weights
        return float(loss), np.append(columns.T @ pull + weights, pull.sum())

    count = columns.shape[1]
    optimum = minimize(
        penalised_loss,
        x0=np.append(np.full(count, 1.0 / count), 0.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * count + [(None, None)],
    )
    return Stack(dict(zip(logits, map(float, optimum.x[:-1]), strict=True)), float(optimum.x[-1]))


def fit_stacks(logits: Mapping[str, Floats], labels: NDArray[np.int8], doubtful: str) -> tuple[Stack, Stack]:
    """Fit two stacks: of all models, and of all but the doubtful one.

    In the first, the doubtful model gets a weight only if that raises the log-likelihood by `ln(users) / 2`
    (Schwarz, 1978, "Estimating the dimension of a model"). A model chosen as the best of many epochs on these
    very users looks good by chance. Where no other model separates the labels, it would get all the weight.
    """
    others = {name: column for name, column in logits.items() if name != doubtful}
    stack, without = fit_stack(logits, labels), fit_stack(others, labels)
    gain = stack.log_likelihood(logits, labels) - without.log_likelihood(logits, labels)
    if gain < math.log(len(labels)) / 2:
        weights = {name: without.weights.get(name, 0.0) for name in logits}
        return Stack(weights, without.intercept), without
    return stack, without

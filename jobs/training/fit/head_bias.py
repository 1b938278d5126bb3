"""Fit an encoder's bias once more, with all its other weights as they are.

In   a trained classifier, and the users that it was trained on
Out  the same classifier, whose mean probability of those users is their bad rate
"""

import keras
import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.predict import predict_logits
from jobs.training_set.weighted_sample import draw_weighted_sample


def fit_head_bias(classifier: keras.Model, train: LabelledSequences) -> None:
    """Change the bias of the layer `head` to the one of least log loss, on a sample where users are very many.

    A regression's intercept is where the mean probability is the bad rate ("calibration in the large": Van Calster et al.,
    2019, "Calibration: the Achilles heel of predictive analytics"). A few hundred steps of noisy batches leave an encoder's
    up to 0.8 to one side or the other, and another training to another side: weights and intercept of the stack, learned
    from a fold's encoder, would not fit the final one. Ranks stay as they are, and class weights leave no mark on the level.

    Raises:
        ValueError: all users have the same label, or the training diverged.
    """
    bad_rate = float(train.labels.mean())
    if not 0.0 < bad_rate < 1.0:
        raise ValueError(
            f"a bias needs users of both labels, found {len(train.labels)} of bad rate {bad_rate}"
        )
    chosen = draw_weighted_sample(train.labels)
    logits = predict_logits(classifier, train.tokens.take(chosen.indices)).astype(np.float64)
    if not np.isfinite(logits).all():
        raise ValueError(
            "the encoder's logits are no numbers: its training diverged. Lower training.learning_rate, or set "
            "training.clip_norm"
        )
    shift = brentq(
        lambda shift: np.average(expit(logits + shift), weights=chosen.weights) - bad_rate,
        # With these all probabilities are below the bad rate, or above it.
        logit(bad_rate) - logits.max() - 1.0,
        logit(bad_rate) - logits.min() + 1.0,
    )
    classifier.get_layer("head").bias.assign_add([shift])

"""Refit the bias of an encoder's head; all other weights stay as they are.

In   a trained classifier, and the users that it was trained on
Out  the same classifier, whose mean probability on those users equals their bad rate
"""

import keras
import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.predict import predict_logits
from jobs.training_set.weighted_sample import draw_weighted_sample


def fit_head_bias(classifier: keras.Model, train: LabelledSequences) -> None:
    """Set the bias of the layer `head` to the one of least log loss, on at most 50,000 users.

    A fitted intercept makes the mean probability equal to the bad rate ("calibration in the large": Van
    Calster et al., 2019, "Calibration: the Achilles heel of predictive analytics"). After a few hundred steps
    of noisy batches an encoder's bias is off by up to 0.8, in a direction that differs from training to
    training. So the stack's weights and intercept, learned from a fold's encoder, would not fit the final
    one. Refitting leaves the ranking as it is, and removes the effect of class weights on the mean
    probability.

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
            "the encoder's logits are not finite: its training diverged. Lower training.learning_rate, or set "
            "training.clip_norm"
        )
    shift = brentq(
        lambda shift: np.average(expit(logits + shift), weights=chosen.weights) - bad_rate,
        # At these bounds all probabilities are below the bad rate, or above it.
        logit(bad_rate) - logits.max() - 1.0,
        logit(bad_rate) - logits.min() + 1.0,
    )
    classifier.get_layer("head").bias.assign_add([shift])

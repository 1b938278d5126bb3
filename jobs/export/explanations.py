"""Contributions of each install to a user's logit.

In   the risk model, and token ids int32 (batch, sequence), padded at the end with zeros
Out  float32: {"contributions": (batch, sequence), "logit": (batch,), "baseline_logit": (batch,)}

     baseline_logit + sum of a user's contributions = logit

The contributions of linear members are exact, and their baseline is the intercept. The encoder is explained
by integrated gradients (Sundararajan, Taly and Yan, 2017, §3, https://arxiv.org/abs/1703.01365). Its baseline
is the same user with the embedding of padding in place of each install's. Each install still counts as one of
its session, so the length of the history belongs to the baseline. Both are weighted as the model weights its
members.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from jobs.encoder.layers.tfidf_regression import TfidfRegression
from jobs.encoder.tokens import PAD_TOKEN_ID, apps_of

# Gauss-Legendre points of the path. The encoder is smooth (ADR 11), so the error falls exponentially with
# their number. The error is the gap between the sum of the contributions and the logit's distance from the
# baseline, as a share of that distance. With an encoder of the default sizes it is at most 0.02% for 256
# simulated users, and 0.002% for 256 real instruction sequences (`make bench-reasons`). The spare points are
# for small models in which one app alone turns the logit by 5 or more: 0.5% with 32 points, 1.8% with 24.
STEPS = 32

ExplanationTensors = dict[str, tf.Tensor]


class Part(NamedTuple):
    """Explanation of one member's logit."""

    contributions: tf.Tensor  # float32 (batch, sequence), as wide as the member's input
    baseline: tf.Tensor  # float32 (batch,) or one number for all users


def explain(model: keras.Model, token_ids: tf.Tensor, steps: int = STEPS) -> ExplanationTensors:
    """Explain the logits of `build_risk_model`'s model; padding contributes 0.

    Raises:
        TypeError: a member of the stack is neither the classifier nor linear.
    """
    stack = model.get_layer("stack")
    history = model.get_layer("history")
    read = history(token_ids)  # (batch, read)
    contributions = tf.zeros_like(read, tf.float32)
    baseline = tf.fill(tf.shape(read)[:1], tf.constant(stack.intercept, tf.float32))
    for weight, member in zip(stack.stack_weights, find_members(stack), strict=True):
        if weight == 0.0:  # the stack leaves members out by a weight of 0
            continue
        part = explain_member(member, read, steps)
        contributions += weight * part.contributions
        baseline += weight * part.baseline
    return {
        "contributions": put_back(contributions, token_ids, history.max_installs),
        "logit": tf.identity(model(token_ids, training=False)),
        "baseline_logit": baseline,
    }


def find_members(joined: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Find the models and layers whose logits a layer adds up or averages, in order."""
    return [logit._keras_history.operation for logit in keras.tree.flatten(joined.input)]


def explain_member(member: keras.layers.Layer, token_ids: tf.Tensor, steps: int) -> Part:
    """Explain one member's own logit."""
    if isinstance(member, TfidfRegression):
        return Part(member.contributions(token_ids), member.intercept)
    if isinstance(member, keras.Model):
        last = member.output._keras_history.operation
        if isinstance(last, keras.layers.Average):  # the same encoder, trained several times
            parts = [explain_member(model, token_ids, steps) for model in find_members(last)]
            return Part(*(tf.add_n(same) / len(parts) for same in zip(*parts, strict=True)))
        return explain_encoder(member, token_ids, steps)
    raise TypeError(
        f"expected the encoder's classifier or TfidfRegression, got {type(member).__name__} {member.name!r}"
    )


def explain_encoder(classifier: keras.Model, token_ids: tf.Tensor, steps: int) -> Part:
    """Integrated gradients over the embeddings, summed over their width."""
    keep_last, encoder = classifier.get_layer("last_installs"), classifier.get_layer("encoder")
    pooling, head = classifier.get_layer("pooling"), classifier.get_layer("head")
    read = keep_last(token_ids)  # (batch, read)
    padding_mask = tf.not_equal(read, PAD_TOKEN_ID)
    start = encoder.token_embedding(tf.fill(tf.shape(read), PAD_TOKEN_ID))  # (batch, read, hidden_dim)
    path = encoder.token_embedding(apps_of(read)) - start

    def logit_of(embeddings: tf.Tensor) -> tf.Tensor:
        encoded = encoder.encode(embeddings, read, training=False)
        return tf.squeeze(head(pooling(encoded, padding_mask=padding_mask)), axis=-1)  # (batch,)

    def add_gradient(total: tf.Tensor, point: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        share, weight = point
        embeddings = start + share * path
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            logit = logit_of(embeddings)  # each user's depends on that user's embeddings alone
        return total + weight * tape.gradient(logit, embeddings)

    # A loop in the graph needs the memory of one gradient, however many steps there are.
    places, weights = np.polynomial.legendre.leggauss(steps)  # of the line from -1 to 1
    points = (tf.constant((places + 1) / 2, tf.float32), tf.constant(weights / 2, tf.float32))
    mean_gradient = tf.foldl(add_gradient, points, tf.zeros_like(path), parallel_iterations=1)
    contributions = tf.cast(tf.reduce_sum(path * mean_gradient, axis=-1), tf.float32)
    return Part(put_back(contributions, token_ids, keep_last.max_installs), logit_of(start))


def put_back(contributions: tf.Tensor, token_ids: tf.Tensor, max_installs: int) -> tf.Tensor:
    """Undo KeepLastInstalls: `(batch, kept)` to `(batch, sequence)`, with 0 for installs that were cut."""
    columns = tf.range(tf.shape(token_ids)[1])
    row_ends = tf.reduce_max(tf.where(token_ids != PAD_TOKEN_ID, columns + 1, 0), axis=1)  # (batch,)
    first_columns = tf.maximum(row_ends - max_installs, 0)
    kept = columns[None, :] - first_columns[:, None]  # an install's place among those kept; below 0: cut off
    was_kept = (kept >= 0) & (kept < tf.shape(contributions)[1])
    found = tf.gather(contributions, tf.where(was_kept, kept, 0), batch_dims=1)
    return tf.where(was_kept, found, 0.0)

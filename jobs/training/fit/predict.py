"""Logits of many users from a Keras model.

In   token sequences of any lengths
Out  logits float32 (examples,), in the order of the sequences
"""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from jobs.sequences.batching import cut_batches_by_length
from jobs.sequences.token_sequences import TokenSequences
from jobs.training.fit.batches import stream

PREDICTION_BATCH_SIZE = 256  # examples


def predict_logits(model: keras.Model, tokens: TokenSequences) -> NDArray[np.float32]:
    """Score all sequences in batches of similar length."""
    batches = list(cut_batches_by_length(tokens.lengths, PREDICTION_BATCH_SIZE))

    def padded_batches() -> Iterator[tuple[NDArray[np.int32]]]:
        for batch in batches:
            yield (tokens.padded(batch),)

    dataset = stream(padded_batches, (tf.TensorSpec((None, None), tf.int32),))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    logits = np.empty(len(tokens), dtype=np.float32)
    logits[np.concatenate(batches)] = model.predict(dataset, verbose=0)
    return logits

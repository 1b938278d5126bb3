"""What the encoder's training starts from instead of random numbers.

In   token sequences of the training users, labelled or not; an earlier model, if there is one
Out  weights by name, for `fit_classifier`
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from jobs.encoder.classifier import EncoderConfig
from jobs.training.app_vectors import fit_app_vectors
from jobs.training.initial_weights import EMBEDDINGS, NamedWeights
from jobs.training.options import TrainingOptions
from jobs.training.pretrain import PretrainingEpoch, pretrain_encoder
from jobs.training.token_sequences import TokenSequences
from jobs.training.vocabulary import Vocabulary
from jobs.training.warm_start import warm_start


@dataclass(frozen=True)
class Earlier:
    """An encoder trained before, and its vocabulary."""

    model: keras.Model
    vocabulary: Vocabulary


def starting_weights(
    tokens: TokenSequences,
    vocabulary: Vocabulary,
    config: EncoderConfig,
    options: TrainingOptions,
    earlier: Earlier | None,
    report: Callable[[PretrainingEpoch], None],
) -> NamedWeights:
    """Embeddings that know which apps keep each other company, or an earlier model's weights; pretrained if asked for.

    Raises:
        ValueError: the earlier model has other sizes, naming the setting.
    """
    vectors = fit_app_vectors(tokens, config.vocabulary_size, config.hidden_dim, options.seed)
    start: NamedWeights = {EMBEDDINGS: vectors}
    if earlier is not None:
        start = warm_start(earlier.model, earlier.vocabulary.apps, vocabulary.apps, config)
    if options.pretraining_epochs:
        read = tokens.last(config.max_sequence_length)
        start = pretrain_encoder(config, options, read, report, initial_weights=start)
    return start

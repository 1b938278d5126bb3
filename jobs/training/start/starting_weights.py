"""Starting weights of the encoder's trainings.

In   token sequences of the training users, labelled or not; an earlier version, if there is one
Out  weights by name, for `fit_classifier`: for each fold, and for all training users
"""

from collections.abc import Callable
from dataclasses import dataclass

from jobs.training.fit.named_weights import EMBEDDINGS, NamedWeights
from jobs.training.fit.options import TrainingOptions
from jobs.training.prepared import Prepared
from jobs.training.start.app_vectors import fit_app_vectors
from jobs.training.start.pretrain import PretrainingEpoch, pretrain_encoder
from jobs.training.start.warm_start import Earlier, warm_start


@dataclass(frozen=True)
class StartingWeights:
    """Starting weights of each training; without an earlier version all are the same."""

    folds: list[NamedWeights]
    all_users: NamedWeights


def choose_starting_weights(
    prepared: Prepared,
    options: TrainingOptions,
    folds: int,
    earlier: Earlier | None,
    on_epoch: Callable[[PretrainingEpoch], None],
) -> StartingWeights:
    """App embeddings from co-occurrence, or an earlier version's weights; pretrained if the options say so.

    Raises:
        WarmStartError: the earlier version has other sizes; names the setting.
    """
    tokens, config = prepared.users.tokens, prepared.config

    def pretrain(start: NamedWeights) -> NamedWeights:
        if not options.pretraining_epochs:
            return start
        read = tokens.last(config.max_sequence_length)
        # Pretraining leaves out the head: an earlier version's head is kept.
        return {**start, **pretrain_encoder(config, options, read, on_epoch, initial_weights=start)}

    if earlier is None:
        vectors = fit_app_vectors(tokens, config.vocabulary_size, config.hidden_dim, options.seed)
        start = pretrain({EMBEDDINGS: vectors})
        return StartingWeights([start] * folds, start)
    *of_folds, of_all = (
        pretrain(warm_start(encoder, earlier.vocabulary.apps, prepared.tokenizer.vocabulary.apps, config))
        for encoder in (*earlier.fold_encoders[:folds], earlier.encoder)
    )
    return StartingWeights(of_folds, of_all)

"""A training's users as tokens, with the tokenizer and the sizes that fit them.

In   training examples and settings
Out  Prepared(tokenizer, config, users): the vocabulary is of these users alone
"""

from dataclasses import dataclass, replace

from jobs.encoder.classifier import EncoderConfig
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import build_vocabulary
from jobs.training.fit.batches import LabelledSequences
from jobs.training.settings import TrainingSettings
from jobs.training_set.examples import Examples

# Where sessions group fewer installs, filters that see nothing else are wasted: the order alone says more.
FEWEST_INSTALLS_PER_SESSION = 2.0


@dataclass(frozen=True)
class Prepared:
    """What every part of a training needs to know of its users."""

    tokenizer: Tokenizer
    config: EncoderConfig  # its vocabulary_size is the vocabulary's
    users: LabelledSequences


def prepare(examples: Examples, settings: TrainingSettings) -> Prepared:
    """Build the vocabulary and translate the users' installs into tokens."""
    vocabulary = build_vocabulary(
        examples.installs, settings.recipe.min_count, max_size=settings.encoder.vocabulary_size
    )
    reads_sessions = examples.installs.installs_per_session() >= FEWEST_INSTALLS_PER_SESSION
    tokenizer = Tokenizer(vocabulary, settings.recipe.max_history, reads_sessions)
    return Prepared(
        tokenizer,
        replace(settings.encoder, vocabulary_size=vocabulary.size),
        LabelledSequences(tokenizer.translate(examples.installs), examples.labels),
    )

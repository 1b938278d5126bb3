"""Training users as tokens, with their tokenizer and the encoder's sizes.

In   training examples and settings
Out  Prepared(tokenizer, config, users), with a vocabulary of these users alone
"""

from dataclasses import dataclass, replace

from jobs.encoder.classifier import EncoderConfig
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import build_vocabulary
from jobs.training.fit.batches import LabelledSequences
from jobs.training.settings import TrainingSettings
from jobs.training_set.examples import Examples

# With fewer, sessions hardly group installs, and the filters that see only one session are wasted.
FEWEST_INSTALLS_PER_SESSION = 2.0


@dataclass(frozen=True)
class Prepared:
    """Tokenizer, sizes and token sequences that every part of a training uses."""

    tokenizer: Tokenizer
    config: EncoderConfig  # vocabulary_size is that of the tokenizer's vocabulary
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

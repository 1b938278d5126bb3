"""Starting weights of the encoder's trainings."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary
from jobs.training.fit.named_weights import EMBEDDINGS, read_weights
from jobs.training.fit.options import TrainingOptions
from jobs.training.prepared import Prepared
from jobs.training.start.app_vectors import fit_app_vectors
from jobs.training.start.starting_weights import StartingWeights, choose_starting_weights
from jobs.training.start.warm_start import Earlier
from jobs.training_set.trained_on import TrainedOn
from tests.made_up.labelled_sequences import SMALL, made_up_users

pytestmark = pytest.mark.slow

USERS = made_up_users(64, seed=1)
TOKENS = USERS.tokens
VOCABULARY = Vocabulary(tuple(f"app {i}" for i in range(SMALL.vocabulary_size - 3)))
OPTIONS = TrainingOptions(seed=5, batch_size=32)


@pytest.fixture(scope="module")
def earlier() -> Earlier:
    """A version with two folds, whose apps are the same in another order."""
    encoders = [build_classifier(SMALL) for _ in range(3)]
    nobody = TrainedOn(np.array([], np.uint64), np.array([], np.int8))
    return Earlier(Vocabulary(VOCABULARY.apps[::-1]), encoders[0], encoders[1:], nobody)


def prepared(config: EncoderConfig) -> Prepared:
    return Prepared(Tokenizer(VOCABULARY, 128, reads_sessions=False), config, USERS)


def start(options: TrainingOptions = OPTIONS, earlier: Earlier | None = None) -> StartingWeights:
    return choose_starting_weights(prepared(SMALL), options, 2, earlier, lambda _: None)


def test_all_trainings_start_from_the_same_app_embeddings():
    starting = start()
    vectors = fit_app_vectors(TOKENS, SMALL.vocabulary_size, SMALL.hidden_dim, OPTIONS.seed)
    for weights in (*starting.folds, starting.all_users):
        assert list(weights) == [EMBEDDINGS]
        np.testing.assert_array_equal(weights[EMBEDDINGS], vectors)


def test_each_fold_starts_from_the_earlier_encoder_of_its_own(earlier):
    starting = start(earlier=earlier)
    for weights, model in zip(
        (*starting.folds, starting.all_users), (*earlier.fold_encoders, earlier.encoder), strict=True
    ):
        expected = read_weights(model)
        np.testing.assert_array_equal(weights["head/kernel"], expected["head/kernel"])
        np.testing.assert_array_equal(weights[EMBEDDINGS][3:], expected[EMBEDDINGS][:2:-1])


def test_pretraining_moves_the_encoder_and_leaves_the_earlier_head(earlier):
    epochs = []
    options = OPTIONS.model_copy(update={"pretraining_epochs": 1})
    starting = choose_starting_weights(prepared(SMALL), options, 2, earlier, epochs.append)
    assert len(epochs) == 3
    expected = read_weights(earlier.encoder)
    np.testing.assert_array_equal(starting.all_users["head/kernel"], expected["head/kernel"])
    assert np.abs(starting.all_users[EMBEDDINGS][3:] - expected[EMBEDDINGS][:2:-1]).max() > 1e-4


def test_another_size_is_refused_by_its_name(earlier):
    config = replace(SMALL, hidden_dim=SMALL.hidden_dim * 2)
    with pytest.raises(Exception, match="hidden_dim is 16, the earlier model has 8"):
        choose_starting_weights(prepared(config), OPTIONS, 2, earlier, lambda _: None)

"""Starting from an earlier classifier."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from jobs.encoder.classifier import build_classifier
from jobs.encoder.tokens import UNKNOWN_TOKEN_ID
from jobs.training.fit import fit_classifier
from jobs.training.initial_weights import EMBEDDINGS, NamedWeights, read_weights, set_initial_weights
from jobs.training.options import TrainingOptions
from jobs.training.warm_start import warm_start
from tests.unit.training.made_up_sequences import SMALL, made_up_users

EARLIER_APPS = ("maps", "chat", "mail", "bank")
APPS = ("chat", "game", "maps")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> keras.Model:
    """A classifier as it comes back from its file."""
    path = tmp_path_factory.mktemp("earlier") / "encoder.keras"
    build_classifier(replace(SMALL, vocabulary_size=7)).save(path)
    return keras.models.load_model(path)


@pytest.fixture(scope="module")
def weights(earlier: keras.Model) -> NamedWeights:
    return warm_start(earlier, EARLIER_APPS, APPS, replace(SMALL, vocabulary_size=6))


def test_each_app_keeps_its_embedding_wherever_its_token_went(weights, earlier):
    old, new = read_weights(earlier)[EMBEDDINGS], weights[EMBEDDINGS]
    assert new.shape == (6, 8)
    np.testing.assert_array_equal(new[:3], old[:3])  # padding, unknown, mask
    np.testing.assert_array_equal(new[3], old[4])  # chat
    np.testing.assert_array_equal(new[5], old[3])  # maps


def test_a_new_app_starts_as_the_earlier_model_reads_it(weights, earlier):
    unknown = read_weights(earlier)[EMBEDDINGS][UNKNOWN_TOKEN_ID]
    np.testing.assert_array_equal(weights[EMBEDDINGS][4], unknown)  # game


def test_all_other_weights_are_the_earlier_ones(weights, earlier):
    new = build_classifier(replace(SMALL, vocabulary_size=6))
    set_initial_weights(new, weights)
    for path, weight in read_weights(earlier).items():
        if path != EMBEDDINGS:
            np.testing.assert_array_equal(read_weights(new)[path], weight, err_msg=path)


def test_training_goes_on_from_the_earlier_model():
    users, options = made_up_users(64, seed=1), TrainingOptions(batch_size=64, max_epochs=1)
    apps = tuple(f"app {i}" for i in range(100))
    first = fit_classifier(SMALL, options, users, None, [].append)
    standing_still = TrainingOptions(batch_size=64, max_epochs=1, learning_rate=1e-12)
    start = warm_start(first.model, apps, apps, SMALL)
    second = fit_classifier(SMALL, standing_still, users, None, [].append, initial_weights=start)
    token_ids = users.tokens.padded(np.arange(64))
    np.testing.assert_allclose(first.model(token_ids), second.model(token_ids), atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "value", "earlier_value"),
    [("hidden_dim", 4, 8), ("num_layers", 2, 1), ("num_heads", 1, 2), ("intermediate_dim", 8, 16)],
)
def test_another_size_is_refused_by_its_name(earlier, setting, value, earlier_value):
    config = replace(SMALL, vocabulary_size=6, **{setting: value})
    with pytest.raises(ValueError, match=f"{setting} is {value}, the earlier model has {earlier_value}"):
        warm_start(earlier, EARLIER_APPS, APPS, config)


def test_a_vocabulary_that_is_not_the_models_own_is_refused(earlier):
    with pytest.raises(ValueError, match="earlier model has vocabulary_size 7, its vocabulary makes 6"):
        warm_start(earlier, EARLIER_APPS[:3], APPS, replace(SMALL, vocabulary_size=6))
    with pytest.raises(ValueError, match="new model has vocabulary_size 9, its vocabulary makes 6"):
        warm_start(earlier, EARLIER_APPS, APPS, replace(SMALL, vocabulary_size=9))


def test_another_dropout_is_no_obstacle(earlier):
    config = replace(SMALL, vocabulary_size=6, dropout=0.4)
    assert warm_start(earlier, EARLIER_APPS, APPS, config)[EMBEDDINGS].shape == (6, 8)

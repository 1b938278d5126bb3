"""Starting from an earlier classifier."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from jobs.encoder.classifier import build_classifier
from jobs.encoder.tokens import UNKNOWN_TOKEN_ID
from jobs.training.fit.classifier import StartingPoint, fit_classifier
from jobs.training.fit.named_weights import (
    EMBEDDINGS,
    NamedWeights,
    read_weights,
    set_initial_weights,
)
from jobs.training.fit.options import TrainingOptions
from jobs.training.recipe import Trained, train
from jobs.training.settings import TrainingSettings
from jobs.training.start.warm_start import Earlier, WarmStartError, warm_start
from jobs.training_set.examples import Examples
from jobs.training_set.folds import make_folds
from jobs.training_set.trained_on import TrainedOn
from tests.made_up.examples import made_up_examples
from tests.made_up.labelled_sequences import SMALL, made_up_users

pytestmark = pytest.mark.slow

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


def test_each_app_keeps_its_embedding_under_its_new_token(weights, earlier):
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
    second = fit_classifier(SMALL, standing_still, users, None, [].append, StartingPoint(weights=start))
    token_ids = users.tokens.padded(np.arange(64))
    np.testing.assert_allclose(first.model(token_ids), second.model(token_ids), atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "value", "earlier_value"),
    [("hidden_dim", 4, 8), ("num_layers", 2, 1), ("num_heads", 1, 2), ("intermediate_dim", 8, 16)],
)
def test_another_size_is_refused_by_its_name(earlier, setting, value, earlier_value):
    config = replace(SMALL, vocabulary_size=6, **{setting: value})
    with pytest.raises(WarmStartError, match=f"{setting} is {value}, the earlier model has {earlier_value}"):
        warm_start(earlier, EARLIER_APPS, APPS, config)


def test_a_vocabulary_that_is_not_the_models_own_is_refused(earlier):
    with pytest.raises(WarmStartError, match="earlier model has vocabulary_size 7, its vocabulary makes 6"):
        warm_start(earlier, EARLIER_APPS[:3], APPS, replace(SMALL, vocabulary_size=6))
    with pytest.raises(WarmStartError, match="new model has vocabulary_size 9, its vocabulary makes 6"):
        warm_start(earlier, EARLIER_APPS, APPS, replace(SMALL, vocabulary_size=9))


def test_another_dropout_is_no_obstacle(earlier):
    config = replace(SMALL, vocabulary_size=6, dropout=0.4)
    assert warm_start(earlier, EARLIER_APPS, APPS, config)[EMBEDDINGS].shape == (6, 8)


LEARNS_BY_HEART = TrainingSettings.model_validate(
    {
        "encoder": {
            "hidden_dim": 16,
            "num_layers": 1,
            "num_heads": 2,
            "intermediate_dim": 16,
            "dropout": 0.0,
        },
        # One evaluation, at the end: of several, the best would be chosen by chance.
        "training": {
            "max_steps": 300,
            "max_epochs": 60,
            "batch_size": 16,
            "learning_rate": 0.01,
            "evaluate_every_steps": 300,
        },
        "recipe": {"folds": 2, "enough_held_out": 1, "min_count": 1},
    }
)


@pytest.fixture(scope="module")
def noise() -> Examples:
    """Users with random labels, which a model cannot predict but can memorise."""
    examples = made_up_examples(160, mean_length=20.0)
    labels = np.random.default_rng(1).permutation(np.arange(160) % 2).astype(np.int8)
    return replace(examples, labels=labels)


def as_earlier(trained: Trained) -> Earlier:
    return Earlier(
        trained.tokenizer.vocabulary, trained.first_encoder, trained.held_out.encoders, trained.trained_on
    )


@pytest.fixture(scope="module")
def by_heart(noise) -> Earlier:
    """A version that was trained on them."""
    return as_earlier(train(noise, LEARNS_BY_HEART, lambda *_: None))


def train_on(earlier: Earlier, examples: Examples) -> Trained:
    hardly = LEARNS_BY_HEART.training.model_copy(update={"max_steps": 1, "learning_rate": 1e-6})
    return train(examples, LEARNS_BY_HEART.model_copy(update={"training": hardly}), lambda *_: None, earlier)


def test_users_memorised_by_an_earlier_version_do_not_raise_held_out_auc(noise, by_heart):
    assert train_on(by_heart, noise).held_out_auc["encoder"] < 0.65
    leaking = replace(by_heart, fold_encoders=[by_heart.encoder] * len(by_heart.fold_encoders))
    assert train_on(leaking, noise).held_out_auc["encoder"] > 0.85


def test_held_out_users_that_the_earlier_folds_encoder_has_seen_are_left_out(noise, by_heart):
    # Without half of the fold's held-out users, its cut moves to users that it was fitted on.
    is_gone = ~by_heart.trained_on.fold_has_seen(1, noise) & (np.arange(160) % 4 < 2)
    others = noise.take(np.flatnonzero(~is_gone))
    moved = train_on(by_heart, others)
    (fold,) = make_folds(others, LEARNS_BY_HEART.recipe.folds, LEARNS_BY_HEART.recipe.enough_held_out)
    seen = by_heart.trained_on.fold_has_seen(1, others.take(fold.held_out)).sum()
    assert 10 < seen < len(fold.held_out) - 10
    assert len(moved.held_out.labels) == len(fold.held_out) - seen
    # A version that starts from this one has seen them all.
    assert moved.trained_on.holds(noise).all()


def test_a_fold_with_seen_users_only_is_refused(noise, by_heart):
    nowhere_held_out = TrainedOn(by_heart.trained_on.user_hashes, np.zeros(160, np.int8))
    with pytest.raises(WarmStartError, match=r"have seen 80 of 80 users that fold 1 holds out"):
        train_on(replace(by_heart, trained_on=nowhere_held_out), noise)

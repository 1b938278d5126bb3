"""Masked-install pretraining."""

import numpy as np
import pytest

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.sequences.token_sequences import TokenSequences
from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.classifier import StartingPoint, fit_classifier
from jobs.training.fit.named_weights import NamedWeights, read_weights
from jobs.training.fit.options import TrainingOptions
from jobs.training.start.masking import mask_tokens
from jobs.training.start.pretrain import PretrainingEpoch, masked_batches, pretrain_encoder
from tests.made_up.ragged import sequences_of

pytestmark = pytest.mark.slow

APPS = 8
CONFIG = EncoderConfig(3 + APPS, hidden_dim=16, num_layers=1, num_heads=2, intermediate_dim=32, dropout=0.0)
OPTIONS = TrainingOptions(
    batch_size=64, learning_rate=0.02, warmup_epochs=1, schedule="cosine", pretraining_epochs=12
)
POPULARITY_LOSS = np.log(APPS)  # of one who knows only that all apps are equally popular


def cyclic_sequences(users: int) -> TokenSequences:
    """Each user installs the apps in one circle, from any start: neighbours tell the app between them."""
    random = np.random.default_rng(0)
    lengths = random.integers(8, 21, users)  # 1 to 3 hidden installs
    starts = random.integers(0, APPS, users)
    values = [3 + (start + np.arange(length)) % APPS for start, length in zip(starts, lengths, strict=True)]
    return sequences_of(values)


TOKENS = cyclic_sequences(512)


@pytest.fixture(scope="module")
def epochs() -> list[PretrainingEpoch]:
    return []


@pytest.fixture(scope="module")
def pretrained(epochs: list[PretrainingEpoch]) -> NamedWeights:
    return pretrain_encoder(CONFIG, OPTIONS, TOKENS, epochs.append)


@pytest.mark.usefixtures("pretrained")
def test_hidden_installs_are_guessed_better_than_by_popularity(epochs):
    assert [epoch.number for epoch in epochs] == list(range(1, 13))
    assert epochs[0].masked_loss > 0.8 * POPULARITY_LOSS
    assert epochs[-1].masked_loss < 0.6 * POPULARITY_LOSS


def test_fine_tuning_starts_from_the_pretrained_encoder(pretrained):
    standing_still = TrainingOptions(batch_size=64, learning_rate=1e-12, max_steps=1)
    users = LabelledSequences(TOKENS, (np.arange(512) % 2).astype(np.int8))
    fit = fit_classifier(CONFIG, standing_still, users, None, [].append, StartingPoint(weights=pretrained))
    encoder = read_weights(fit.model.get_layer("encoder"))
    assert encoder.keys() == pretrained.keys()
    for path, weight in pretrained.items():
        np.testing.assert_allclose(encoder[path], weight, atol=1e-6, err_msg=path)


def test_pretraining_starts_from_initial_weights():
    standing_still = OPTIONS.model_copy(update={"learning_rate": 1e-12, "pretraining_epochs": 1})
    start = read_weights(build_classifier(CONFIG).get_layer("encoder"))
    weights = pretrain_encoder(CONFIG, standing_still, TOKENS, [].append, initial_weights=start)
    for path, weight in start.items():
        np.testing.assert_allclose(weights[path], weight, atol=1e-6, err_msg=path)


def test_each_user_has_that_share_of_installs_hidden_and_at_least_one_and_never_padding():
    lengths = np.array([40, 20, 3, 1, 0])
    token_ids = np.where(np.arange(40) < lengths[:, None], 7, 0).astype(np.int32)
    masked = mask_tokens(token_ids, 0.15, 100, np.random.default_rng(0))
    np.testing.assert_array_equal(masked.weights.sum(axis=1), [6, 3, 1, 1, 0])
    assert (masked.targets[masked.weights == 1] == 7).all()
    assert (masked.token_ids[token_ids == 0] == 0).all()
    for places, weights, length in zip(masked.positions, masked.weights, lengths, strict=True):
        hidden = places[weights == 1]
        assert len(set(hidden)) == len(hidden)
        assert (hidden < length).all()


def test_of_hidden_installs_eight_tenths_show_the_mask_one_a_random_app_and_one_themselves():
    token_ids = np.full((100, 100), 3, np.int32)
    masked = mask_tokens(token_ids, 0.5, 1003, np.random.default_rng(0))
    shown = np.take_along_axis(masked.token_ids, masked.positions, axis=1)
    assert (shown == 2).mean() == pytest.approx(0.8, abs=0.02)
    assert (shown == 3).mean() == pytest.approx(0.1, abs=0.02)
    assert (shown > 3).mean() == pytest.approx(0.1, abs=0.02)
    assert shown.min() == 2  # random ones are apps
    assert (masked.token_ids != 3).sum() == (shown != 3).sum()  # all others are as they were


def test_a_hidden_install_still_begins_its_session_and_is_guessed_as_an_app():
    token_ids = np.array([[-5, 9, -7, 4]] * 200, np.int32)
    masked = mask_tokens(token_ids, 0.5, 100, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sign(masked.token_ids), np.sign(token_ids))
    assert set(masked.targets.ravel()) == {5, 9, 7, 4}


def test_other_installs_are_hidden_in_each_epoch():
    steps = 512 // OPTIONS.batch_size
    batches = list(masked_batches(TOKENS, CONFIG.vocabulary_size, OPTIONS).take(2 * steps))
    hidden = [[], []]
    for number, ((token_ids, _), _, _) in enumerate(batches):
        hidden[number // steps].append((token_ids.numpy() == 2)[:, :8].sum(axis=0))
    first, second = (np.sum(places, axis=0) for places in hidden)
    assert list(first) != list(second)


def test_only_hidden_installs_count_in_the_loss():
    for (token_ids, _), _, weights in masked_batches(TOKENS, CONFIG.vocabulary_size, OPTIONS).take(8):
        lengths = (token_ids.numpy() != 0).sum(axis=1)
        np.testing.assert_array_equal(weights.numpy().sum(axis=1), np.round(0.15 * lengths))

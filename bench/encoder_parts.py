"""Ablation of the encoder and of its training, without linear models: `make bench-encoder`.

In   a few thousand users of each kind of `make bench-quality`
Out  AUC on test users, by kind of users and by the part that was left out

Every encoder trains for the default's largest number of epochs, without early stopping, so that an encoder
that memorises users shows it. Two rows may differ by 0.005 because of the seed alone.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Annotated, Any
from unittest.mock import patch

import keras
import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from scipy.stats import ortho_group
from sklearn.metrics import roc_auc_score

from bench.quality import GENERATORS
from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.training.fit import optimizer
from jobs.training.fit.classifier import BuildModel, StartingPoint, fit_classifier
from jobs.training.fit.named_weights import NamedWeights
from jobs.training.fit.predict import predict_logits
from jobs.training.prepared import prepare
from jobs.training.settings import TrainingSettings
from jobs.training.start.starting_weights import choose_starting_weights
from jobs.training_set.splits import Split, split_by_user

USERS = 5_000


def build_without_attention_pooling(config: EncoderConfig) -> keras.Model:
    """The classifier whose head sees only the plain averages."""
    classifier = build_classifier(config)
    plain = classifier.get_layer("pooling").output[:, : 2 * config.hidden_dim]
    dropped = keras.layers.Dropout(config.dropout, name="plain_dropout")(plain)
    logit = keras.layers.Dense(1, name="plain_head")(dropped)
    return keras.Model(classifier.input, keras.ops.squeeze(logit, axis=-1), name="risk_classifier")


def learn_alike(installs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Relative learning rates of apps: 1 for all, as for other weights."""
    return np.ones(len(installs), np.float32)


def do_not_turn(hidden_dim: int, random_state: int) -> NDArray[np.float64]:
    """The identity in place of the random rotation, so that each singular vector stays one coordinate."""
    del random_state
    return np.eye(hidden_dim)


@dataclass(frozen=True)
class Variant:
    """One change to the encoder or to its training."""

    build: BuildModel = build_classifier
    change: Callable[[], AbstractContextManager[Any]] = nullcontext
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    random_embeddings: bool = False


VARIANTS = {
    "as it is": Variant(),
    "without attention pooling": Variant(build=build_without_attention_pooling),
    "one rate for all apps": Variant(change=lambda: patch.object(optimizer, "app_rates", learn_alike)),
    "embeddings not rotated": Variant(change=lambda: patch.object(ortho_group, "rvs", do_not_turn)),
    "embeddings start at random": Variant(random_embeddings=True),
    "without neighbours": Variant(settings=TrainingSettings(encoder=EncoderConfig(context_width=1))),
}


def measure(split: Split, variant: Variant, seed: int) -> float:
    """Train one encoder and find its AUC on the test users."""
    prepared = prepare(split.train, variant.settings)
    options = variant.settings.training.model_copy(update={"seed": seed})
    start: NamedWeights = {}
    with variant.change():
        if not variant.random_embeddings:
            start = choose_starting_weights(prepared, options, 0, None, lambda _: None).all_users
        fit = fit_classifier(
            prepared.config,
            options,
            prepared.users,
            None,
            lambda _: None,
            StartingPoint(build=variant.build, weights=start),
        )
    logits = predict_logits(fit.model, prepared.tokenizer.translate(split.test.installs))
    return float(roc_auc_score(split.test.labels, logits))


def main(
    users: Annotated[int, typer.Option(help="of each kind; a fifth of them tests")] = USERS,
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each variant")] = 1,
) -> None:
    """Train all variants on all kinds of users."""
    found = pd.DataFrame(index=list(VARIANTS), columns=list(GENERATORS), dtype=object)
    for kind, generator in GENERATORS.items():
        split = split_by_user(generator.make(users, 0).examples)
        for name, variant in VARIANTS.items():
            auc = [measure(split, variant, seed) for seed in range(seeds)]
            found.loc[name, kind] = f"{np.mean(auc):.4f}"
            print(kind, name, *(f"{one:.4f}" for one in auc), flush=True)
    print(found.to_string())


if __name__ == "__main__":
    typer.run(main)

"""Two kinds of encoder training in one recipe, with the options that they share.

In   labelled sequences, and the weights that a training starts from
Out  `search`: a fit with early stopping on validation users, and its best number of steps
     `train_for`: the encoders that score, trained for a fixed number of steps
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from jobs.encoder.classifier import EncoderConfig
from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.classifier import Epoch, Fit, StartingPoint, fit_classifier, fit_for_steps
from jobs.training.fit.head_bias import fit_head_bias
from jobs.training.fit.named_weights import NamedWeights
from jobs.training.fit.options import TrainingOptions

OnEpoch = Callable[[str, Epoch], None]  # called with the part of the training and its epoch


@dataclass(frozen=True)
class EncoderTrainer:
    """Sizes, options and the callback after each epoch."""

    config: EncoderConfig
    seeds: Sequence[TrainingOptions]  # options of each encoder whose logits are averaged
    on_epoch: OnEpoch
    checkpoints: Path | None  # folder from which interrupted trainings resume

    def search(
        self, train: LabelledSequences, validation: LabelledSequences, start: NamedWeights, part: str
    ) -> Fit:
        """Train with the first seed until validation AUC stops rising."""
        point = StartingPoint(start, checkpoint_folder=self._folder(part))
        return fit_classifier(
            self.config, self.seeds[0], train, validation, partial(self.on_epoch, part), point
        )

    def train_for(
        self, steps: int, train: LabelledSequences, start: NamedWeights, part: str, first_seed: int = 0
    ) -> list[keras.Model]:
        """Train one encoder for each seed from number `first_seed` on.

        The schedule ends with the last step. The head's bias is fitted after it.
        """
        seeds = self.seeds[first_seed:]
        encoders = []
        for options in seeds:
            name = part if len(seeds) == 1 else f"{part} seed {options.seed}"
            point = StartingPoint(start, checkpoint_folder=self._folder(f"{part} {options.seed}"))
            fit = fit_for_steps(steps, self.config, options, train, partial(self.on_epoch, name), point)
            fit_head_bias(fit.model, train)
            encoders.append(fit.model)
        return encoders

    def _folder(self, name: str) -> Path | None:
        return self.checkpoints / name.replace(" ", "_") if self.checkpoints else None

"""Everything that a training can be told.

In   options on a command line: --encoder.hidden-dim 32 --recipe.folds 3
Out  TrainingSettings, checked
"""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from jobs.encoder.classifier import EncoderConfig
from jobs.training.fit.options import TrainingOptions
from jobs.training_set.folds import ENOUGH_HELD_OUT, FOLDS


@checked_dataclass(frozen=True)
class RecipeOptions:
    """What is combined, and from how many users it is learned how."""

    min_count: int = Field(
        default=3, ge=1, description="Installs that an app needs to get a token of its own"
    )
    max_history: int = Field(
        default=2_048, ge=1, description="Installs of a user that the linear models read, the last ones"
    )
    folds: int = Field(default=FOLDS, ge=2, description="Equal parts of the training users")
    enough_held_out: int = Field(
        default=ENOUGH_HELD_OUT, ge=1, description="Held-out examples after which no further fold is trained"
    )
    encoders: int = Field(
        default=1,
        ge=1,
        description="Encoders of different seeds, whose logits are averaged; scoring costs as many times",
    )


class TrainingSettings(BaseModel):
    """Everything that a training can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Its vocabulary_size is the largest allowed, until there is a vocabulary.
    encoder: EncoderConfig = EncoderConfig()
    training: TrainingOptions = TrainingOptions()
    recipe: RecipeOptions = RecipeOptions()

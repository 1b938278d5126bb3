"""Settings of a training.

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
    """Vocabulary, folds and ensemble of a recipe."""

    min_count: int = Field(
        default=3, ge=1, description="Installs that an app needs to get a token of its own"
    )
    max_history: int = Field(
        default=2_048, ge=1, description="Most recent installs of a user that the linear models read"
    )
    folds: int = Field(default=FOLDS, ge=2, description="Equal parts of the training users")
    enough_held_out: int = Field(
        default=ENOUGH_HELD_OUT,
        ge=1,
        description="Held-out examples that suffice: no further fold is trained then",
    )
    encoders: int = Field(
        default=1,
        ge=1,
        description="Encoders of different seeds whose logits are averaged; multiplies the cost of scoring",
    )


class TrainingSettings(BaseModel):
    """All settings of a training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Its vocabulary_size is an upper limit until the vocabulary is built.
    encoder: EncoderConfig = EncoderConfig()
    training: TrainingOptions = TrainingOptions()
    recipe: RecipeOptions = RecipeOptions()

"""Options of a training; the sizes of the model are in `EncoderConfig`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# A few thousand users need many passes; tens of thousands need few, and each pass costs minutes on a CPU.
EXAMPLES_SHOWN, FEWEST_EPOCHS, MOST_EPOCHS = 48_000, 2, 20


class TrainingOptions(BaseModel):
    """Training recipe, checked when built.

    A step is one batch; an evaluation measures the validation users.

    Raises:
        pydantic.ValidationError: a ValueError that names the setting, what it may be, and what it was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(7, ge=0, description="Fixes initial weights, order of examples, dropout and masks")
    batch_size: int = Field(64, ge=1, le=65_536, description="Examples in one step")
    schedule: Literal["inverse_square_root", "one_cycle", "linear", "cosine"] = Field(
        "cosine", description="Course of the learning rate; all rise first, one_cycle for 30% of the steps"
    )
    learning_rate: float = Field(1.5e-3, gt=0.0, description="Highest rate, at the end of the rise")
    # Post-layer-norm diverges without a warm-up.
    warmup_epochs: float = Field(1.0, gt=0.0, description="Epochs of the rise; one_cycle has its own")
    max_epochs: int | None = Field(
        None,
        ge=1,
        description="Passes over the training examples at most; none: enough to show 48,000 examples, from 2 to 20",
    )
    max_steps: int | None = Field(None, ge=1, description="Steps at most; none: max_epochs alone counts")
    patience: int = Field(
        3, ge=1, description="Evaluations without a better validation AUC before training stops"
    )
    evaluate_every_steps: int | None = Field(
        None, ge=1, description="Steps between evaluations; none: once per epoch"
    )
    weight_decay: float = Field(
        0.0, ge=0.0, description="AdamW's decay of kernels and embeddings; 0 is plain Adam"
    )
    clip_norm: float | None = Field(
        None, gt=0.0, description="Largest gradient norm, all weights together; none: not clipped"
    )
    accumulation_steps: int = Field(
        1, ge=1, description="Steps whose mean gradient is one update of the weights"
    )
    reduce_on_plateau_patience: int | None = Field(
        None,
        ge=1,
        description="Evaluations without a better validation AUC before a fold's rate is halved, fewer than "
        "patience; none: never",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: both labels have the same total weight"
    )
    install_dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="Share of installs that training sees as an unknown app"
    )
    pretraining_epochs: int = Field(
        0, ge=0, description="Passes of masked-install pretraining before training; 0: none"
    )
    mask_share: float = Field(
        0.15, gt=0.0, lt=1.0, description="Share of a user's installs that pretraining hides"
    )

    @model_validator(mode="after")
    def check_patience(self) -> "TrainingOptions":
        """Check that the plateau patience is below the stopping patience."""
        plateau = self.reduce_on_plateau_patience
        if plateau is not None and plateau >= self.patience:
            raise ValueError(
                "reduce_on_plateau_patience must be below patience, which ends training, "
                f"got {plateau} and {self.patience}"
            )
        return self

    def epochs(self, examples: int) -> int:
        """Passes at most over this number of training examples."""
        if self.max_epochs is not None:
            return self.max_epochs
        return min(max(EXAMPLES_SHOWN // examples, FEWEST_EPOCHS), MOST_EPOCHS)

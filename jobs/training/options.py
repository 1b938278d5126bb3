"""How to train, as opposed to what: the model's sizes are in `EncoderConfig`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingOptions:
    """Training recipe, checked when built.

    Raises:
        ValueError: naming the setting, what it may be, and what it was.
    """

    seed: int = 7
    batch_size: int = 128  # examples; 64 ranks no better and costs a quarter more time on a CPU
    learning_rate: float = 1.5e-3  # at the end of the warm-up, falls with the square root of steps after it
    warmup_epochs: float = 1.0  # post-layer-norm diverges when it starts at full speed
    max_epochs: int = 20
    patience: int = 3  # epochs without a better validation AUC before training stops

    def __post_init__(self) -> None:
        for setting in ("batch_size", "max_epochs", "patience"):
            if getattr(self, setting) < 1:
                raise ValueError(f"{setting} must be at least 1, got {getattr(self, setting)}")
        for setting in ("learning_rate", "warmup_epochs"):
            if getattr(self, setting) <= 0:
                raise ValueError(f"{setting} must be above 0, got {getattr(self, setting)}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

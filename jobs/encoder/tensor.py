"""Types of the tensors that flow between layers, and of their shapes."""

from typing import Any, TypeAlias

# A backend's tensor while training or scoring, Keras' symbolic one while a model is built.
Tensor: TypeAlias = Any
# A layer's input shape; None where a dimension varies from batch to batch.
Shape: TypeAlias = tuple[int | None, ...]

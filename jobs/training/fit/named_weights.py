"""Weights by name, to initialise a training with.

{"encoder/token_embedding/embeddings": float32 (vocabulary, hidden_dim), "head/bias": float32 (1,), …}
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

EMBEDDINGS = "encoder/token_embedding/embeddings"
NamedWeights = Mapping[str, NDArray[np.float32]]


def read_weights(layer: Any) -> dict[str, NDArray[np.float32]]:
    """Weights of a layer or a model by Keras' path, without the states of its random generators."""
    return {weight.path: weight.numpy() for weight in layer.weights}


def set_initial_weights(model: keras.Model, weights: NamedWeights) -> None:
    """Assign these weights to the model; weights not named here stay as they are.

    Raises:
        ValueError: the model lacks a weight of that name, or has it in another shape.
    """
    by_path = {weight.path: weight for weight in model.weights}
    for path, value in weights.items():
        if path not in by_path:
            raise ValueError(f"initial weights hold {path}, which the model lacks; it has {sorted(by_path)}")
        if by_path[path].shape != value.shape:
            raise ValueError(
                f"initial weight {path} has the shape {value.shape}, the model needs {by_path[path].shape}"
            )
        by_path[path].assign(value)

"""Export of a trained model to ONNX, for engines without TensorFlow.

In   the risk model (token ids -> logit)
Out  model.onnx: token_ids int32 (batch, sequence), 0 is padding, to risk_score and logit, float32 (batch,)

Engines map app ids to tokens by the SavedModel's `vocabulary.txt`. The graph cuts longer rows, as the
SavedModel does.
"""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

OPSET = 18  # of March 2023; ONNX Runtime 1.14 and later run it


def export_onnx(model: keras.Model, path: Path) -> None:
    import onnx
    import tf2onnx

    signature = [tf.TensorSpec((None, None), tf.int32, "token_ids")]
    # Without tf2onnx's optimizers. One of them, `remove_back_to_back`, joins reshapes in such a way that ONNX
    # Runtime refuses the split into attention heads. Together they take longer than the conversion, and
    # engines optimize the graph themselves.
    exported, _ = tf2onnx.convert.from_keras(with_named_outputs(model), signature, opset=OPSET, optimizers={})
    name_axes(exported)
    onnx.checker.check_model(exported)
    onnx.save(exported, path)


def with_named_outputs(model: keras.Model) -> keras.Model:
    """The model with its probability beside its logit, under the SavedModel's names."""
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    logit = keras.layers.Identity(dtype="float32", name="logit")(model(token_ids))
    risk_score = keras.layers.Activation("sigmoid", dtype="float32", name="risk_score")(logit)
    return keras.Model(token_ids, [risk_score, logit])


def name_axes(exported: Any) -> None:
    """Name the axes of unknown size `batch` and `sequence`; tf2onnx only numbers them."""
    graph = exported.graph
    for tensor in (*graph.input, *graph.output):
        for axis, name in zip(tensor.type.tensor_type.shape.dim, ("batch", "sequence"), strict=False):
            axis.dim_param = name

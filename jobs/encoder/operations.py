"""Operations that a model's graph may hold: arithmetic on tensors, and its own variables and vocabulary.

In   the folder of a SavedModel
Out  operations that are not listed, with their functions: ["ReadFile in __inference_score_34"]

A SavedModel is a program. TensorFlow has operations that read and write any file (ReadFile, WriteFile), run
Python (PyFunc) or call other hosts; none of them is needed to score. TensorFlow's own code for checkpoints
does touch files, so it may stand where a SavedModel has it, and nowhere that a signature calls it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

CALLS = {"PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf", "NoOp"}
VALUES = {"Const", "Identity", "IdentityN", "Placeholder", "StopGradient", "PreventGradient", "ZerosLike"}
VARIABLES = {
    *("VarHandleOp", "VarIsInitializedOp", "ReadVariableOp", "AssignVariableOp", "DisableCopyOnRead"),
    *("ResourceGather", "HashTableV2", "LookupTableFindV2", "LookupTableImportV2", "LookupTableSizeV2"),
}
SHAPES = {
    *("Shape", "ShapeN", "Size", "Rank", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Pack", "Unpack"),
    *("ConcatV2", "ConcatOffset", "Split", "SplitV", "Slice", "StridedSlice", "StridedSliceGrad", "Pad"),
    *("PadV2", "MirrorPad", "Tile", "BroadcastTo", "BroadcastGradientArgs", "BroadcastArgs", "Fill"),
    *("OnesLike", "Range", "InvertPermutation", "DynamicStitch", "GatherV2", "GatherNd", "ScatterNd"),
    *("ReverseV2", "ReverseSequence", "Where", "Select", "SelectV2", "OneHot", "MatrixBandPart", "TopKV2"),
    *("TensorScatterAdd", "TensorScatterUpdate", "UnsortedSegmentSum", "Unique", "Bincount", "DenseBincount"),
    *("TensorListReserve", "TensorListFromTensor", "TensorListGetItem", "TensorListSetItem"),
    *("TensorListStack", "TensorListLength", "EmptyTensorList", "TensorListPushBack", "TensorListPopBack"),
}
ARITHMETIC = {
    *("Cast", "Add", "AddV2", "AddN", "Sub", "Mul", "MulNoNan", "Div", "RealDiv", "DivNoNan", "FloorDiv"),
    *("FloorMod", "Neg", "Abs", "Sign", "Floor", "Ceil", "Round", "Rint", "Square", "SquaredDifference"),
    *("Sqrt", "SqrtGrad", "Rsqrt", "RsqrtGrad", "Reciprocal", "ReciprocalGrad", "Pow", "Exp", "Expm1"),
    *("Log", "Log1p", "Sin", "Cos", "Tanh", "TanhGrad", "Sigmoid", "SigmoidGrad", "Erf", "Erfc", "Softplus"),
    *("SoftplusGrad", "Relu", "ReluGrad", "Elu", "EluGrad", "Selu", "SeluGrad", "LeakyRelu"),
    *("LeakyReluGrad", "Softsign", "Softmax", "LogSoftmax", "Maximum", "Minimum", "ClipByValue", "IsNan"),
    *("IsFinite", "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "LogicalAnd"),
    *("LogicalOr", "LogicalNot", "Sum", "Prod", "Mean", "Max", "Min", "All", "Any", "ArgMax", "ArgMin"),
    *("Cumsum", "Cumprod", "MatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "BiasAdd", "BiasAddGrad"),
    *("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "MaxPool", "AvgPool", "BitwiseAnd"),
    *("BitwiseXor", "LeftShift", "RightShift"),
}
ALLOWED = CALLS | VALUES | VARIABLES | SHAPES | ARITHMETIC

# Functions of every SavedModel that write and read its variables; Python's loader calls neither.
CHECKPOINT_FUNCTIONS = ("__inference__traced_save_", "__inference__traced_restore_")
CHECKPOINTS = {
    *("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "StringJoin"),
    "StaticRegexFullMatch",
}


def find_foreign_operations(folder: Path) -> list[str]:
    """Read the graphs below `folder` without executing them, and list what they hold beyond `ALLOWED`."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((folder / "saved_model.pb").read_bytes())
    return sorted({foreign for graph in saved_model.meta_graphs for foreign in _find_foreign(graph)})


def _find_foreign(meta_graph: Any) -> Iterator[str]:
    graph, saver = meta_graph.graph_def, meta_graph.saver_def
    own_calls = {saver.save_tensor_name.split(":")[0], saver.restore_op_name}
    for node in graph.node:
        yield from _judge(node, "the main graph", ALLOWED, may_checkpoint=node.name in own_calls)
    for function in graph.library.function:
        name = function.signature.name
        is_checkpoint = name.startswith(CHECKPOINT_FUNCTIONS)
        for node in function.node_def:
            yield from _judge(node, name, ALLOWED | CHECKPOINTS if is_checkpoint else ALLOWED)


def _judge(node: Any, place: str, allowed: set[str], *, may_checkpoint: bool = False) -> Iterator[str]:
    if node.op not in allowed:
        yield f"{node.op} in {place}"
    for attribute in node.attr.values():
        for called in (attribute.func, *attribute.list.func):
            if called.name.startswith(CHECKPOINT_FUNCTIONS) and not may_checkpoint:
                yield f"a call of {called.name} in {place}"

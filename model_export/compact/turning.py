"""A matrix that is stored both ways round is stored one way.

Forward, a frozen dense layer multiplies by its kernel, backward by the kernel turned round, and
FULLY_CONNECTED wants each as rows of outputs. The second of them becomes a BATCH_MATMUL with the
matrix of the first.
"""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from .flatbuffer import add_tensor, floats_of, kind_of, opcode

MIN_BYTES = 1024
NO_BIAS = -1
Matrix = tuple[tuple[int, int], bytes]


def turn(root: Any) -> None:
    """Rewrites a model so that no FULLY_CONNECTED has the transposed constant of another."""
    known: dict[Matrix, int] = {}
    for graph in root.subgraphs:
        for op in graph.operators:
            if kind_of(root, op) == schema.BuiltinOperator.FULLY_CONNECTED:
                _turn(root, graph, op, known)


def _turn(root: Any, graph: Any, op: Any, known: dict[Matrix, int]) -> None:
    """``known`` finds the buffer of a matrix that was met before."""
    weights = graph.tensors[op.inputs[1]]
    values = floats_of(root, weights)
    if values is None or values.nbytes < MIN_BYTES:
        return
    outputs, inputs = (int(side) for side in weights.shape)
    turned = (inputs, outputs), values.reshape(outputs, inputs).T.tobytes()
    if turned not in known or not _is_plain_product(graph, op):
        known.setdefault(((outputs, inputs), values.tobytes()), weights.buffer)
        return
    matrix = add_tensor(graph, shape=turned[0], kind=weights.type, buffer=known[turned])
    op.opcodeIndex = opcode(root, schema.BuiltinOperator.BATCH_MATMUL)
    op.inputs = [int(op.inputs[0]), matrix]
    op.builtinOptionsType = schema.BuiltinOptions.BatchMatMulOptions
    op.builtinOptions = schema.BatchMatMulOptionsT()


def _is_plain_product(graph: Any, op: Any) -> bool:
    """Whether the op keeps the sides of its input but the last, and adds and bends nothing."""
    ranks = [len(graph.tensors[index].shape) for index in (op.inputs[0], op.outputs[0])]
    has_bias = len(op.inputs) > 2 and op.inputs[2] != NO_BIAS
    is_linear = op.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.NONE
    return ranks[0] == ranks[1] >= 2 and is_linear and not has_bias

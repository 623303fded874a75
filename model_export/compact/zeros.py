"""Zeros cost no bytes: a constant of zeros becomes a FILL of its shape.

The converter folds zeros into constants, which would store an optimizer's slots in the file, and
the first state of a loop. Any runtime that knows variables knows FILL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .flatbuffer import add_buffer, add_tensor, floats_of, indices, kind_of, opcode

MIN_BYTES = 256
_KINDS = schema.BuiltinOperator
# Their kernels are fast only when weights and biases are constants.
WANT_CONSTANTS = frozenset(
    {_KINDS.CONV_2D, _KINDS.DEPTHWISE_CONV_2D, _KINDS.FULLY_CONNECTED, _KINDS.TRANSPOSE_CONV}
)


def fill(root: Any) -> None:
    """Rewrites a model so that it stores no zeros, but for filters and biases.

    Constants under ``MIN_BYTES`` stay.
    """
    for graph in root.subgraphs:
        for index in _used(root, graph):
            if _is_zeros(root, graph.tensors[index]):
                _fill(root, graph, index)


def _used(root: Any, graph: Any) -> list[int]:
    """The tensors that are an output or used by operators, none of which wants a constant."""
    used = set(indices(graph.outputs))
    wanted: set[int] = set()
    for op in graph.operators:
        side = wanted if kind_of(root, op) in WANT_CONSTANTS else used
        side.update(indices(op.inputs))
    return sorted(used - wanted)


def _fill(root: Any, graph: Any, index: int) -> None:
    tensor = graph.tensors[index]
    inputs = [
        _constant(root, graph, np.array(tensor.shape, np.int32), schema.TensorType.INT32),
        _constant(root, graph, np.zeros((), np.float32), schema.TensorType.FLOAT32),
    ]
    tensor.buffer = add_buffer(root, None)
    graph.operators.insert(0, _fill_op(root, inputs, index))


def _is_zeros(root: Any, tensor: Any) -> bool:
    values = floats_of(root, tensor)
    return values is not None and values.nbytes >= MIN_BYTES and not np.any(values)


def _constant(root: Any, graph: Any, value: Any, kind: int) -> int:
    buffer = add_buffer(root, np.frombuffer(value.tobytes(), np.uint8))
    return add_tensor(graph, shape=value.shape, kind=kind, buffer=buffer)


def _fill_op(root: Any, inputs: list[int], output: int) -> Any:
    op = schema.OperatorT()
    op.opcodeIndex = opcode(root, schema.BuiltinOperator.FILL)
    op.inputs = inputs
    op.outputs = [output]
    op.builtinOptionsType = schema.BuiltinOptions.FillOptions
    op.builtinOptions = schema.FillOptionsT()
    return op

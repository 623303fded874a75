"""Zeros cost no bytes: a constant of zeros is filled at run time.

The converter folds zeros into constants, which would store an optimizer's slots in the file, and
the first state of a loop. Here each becomes a FILL of its shape, which any runtime knows that
knows variables.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

MIN_BYTES = 256
_KINDS = schema.BuiltinOperator
# Their kernels are fast only when weights and biases are constants.
WANT_CONSTANTS = frozenset(
    {_KINDS.CONV_2D, _KINDS.DEPTHWISE_CONV_2D, _KINDS.FULLY_CONNECTED, _KINDS.TRANSPOSE_CONV}
)


def fill_zeros(root: Any, graph: Any) -> None:
    """Puts a FILL in place of each constant of zeros in a graph, if it has ``MIN_BYTES``."""
    for index in _constants(root, graph):
        tensor = graph.tensors[index]
        if _is_zeros(root, tensor):
            inputs = [
                _constant(root, graph, np.array(tensor.shape, np.int32), schema.TensorType.INT32),
                _constant(root, graph, np.zeros((), np.float32), schema.TensorType.FLOAT32),
            ]
            tensor.buffer = _buffer(root, None)
            graph.operators.insert(0, _fill_op(root, inputs, index))


def _constants(root: Any, graph: Any) -> list[int]:
    """The tensors that operators use, but for those of operators that want constants."""
    used: set[int] = {*graph.outputs}
    wanted: set[int] = set()
    for op in graph.operators:
        kind = _kind(root.operatorCodes[op.opcodeIndex])
        (wanted if kind in WANT_CONSTANTS else used).update(op.inputs)
    return sorted(used - wanted - {-1})


def _is_zeros(root: Any, tensor: Any) -> bool:
    data = root.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None or len(data) < MIN_BYTES:
        return False
    return not np.any(data)


def _constant(root: Any, graph: Any, value: Any, kind: int) -> int:
    tensor = schema.TensorT()
    tensor.shape = np.array(value.shape, np.int32)
    tensor.type = kind
    tensor.buffer = _buffer(root, np.frombuffer(value.tobytes(), np.uint8))
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _buffer(root: Any, data: Any) -> int:
    buffer = schema.BufferT()
    buffer.data = data
    root.buffers.append(buffer)
    return len(root.buffers) - 1


def _fill_op(root: Any, inputs: list[int], output: int) -> Any:
    op = schema.OperatorT()
    op.opcodeIndex = _opcode(root, _KINDS.FILL)
    op.inputs = np.array(inputs, np.int32)
    op.outputs = np.array([output], np.int32)
    op.builtinOptionsType = schema.BuiltinOptions.FillOptions
    op.builtinOptions = schema.FillOptionsT()
    return op


def _opcode(root: Any, kind: int) -> int:
    for index, code in enumerate(root.operatorCodes):
        if _kind(code) == kind:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    root.operatorCodes.append(code)
    return len(root.operatorCodes) - 1


def _kind(code: Any) -> int:
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))

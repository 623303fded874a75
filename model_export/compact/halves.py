"""Constants that float16 holds to the bit are stored as float16 and widened at run time.

Arithmetic stays float32: a DEQUANTIZE stands before the first use, and XNNPACK does it once when
the model is opened. A constant that would lose a bit stays as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .flatbuffer import add_buffer, add_tensor, floats_of, indices, opcode

MIN_BYTES = 256
# The version of DEQUANTIZE that takes float16.
DEQUANTIZE_VERSION = 3


def store(root: Any) -> None:
    """Rewrites every constant of at least ``MIN_BYTES`` that float16 can hold."""
    narrowed: dict[int, int] = {}
    for graph in root.subgraphs:
        used = {index for op in graph.operators for index in indices(op.inputs)}
        for index in sorted(used):
            _store(root, graph, index, narrowed)


def _store(root: Any, graph: Any, index: int, narrowed: dict[int, int]) -> None:
    """``narrowed`` finds the float16 buffer of one that was met before."""
    tensor = graph.tensors[index]
    if tensor.buffer not in narrowed:
        half = _half(floats_of(root, tensor))
        if half is None:
            return
        narrowed[tensor.buffer] = add_buffer(root, half.view(np.uint8))
    half_buffer = narrowed[tensor.buffer]
    shape, kind = tensor.shape, schema.TensorType.FLOAT16
    source = add_tensor(graph, shape=shape, kind=kind, buffer=half_buffer)
    tensor.buffer = 0
    graph.operators.insert(0, _widen_op(root, source, index))


def _half(values: Any) -> Any:
    if values is None or values.nbytes < MIN_BYTES:
        return None
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None


def _widen_op(root: Any, source: int, output: int) -> Any:
    op = schema.OperatorT()
    op.opcodeIndex = opcode(root, schema.BuiltinOperator.DEQUANTIZE, version=DEQUANTIZE_VERSION)
    op.inputs, op.outputs = [source], [output]
    op.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    op.builtinOptions = schema.DequantizeOptionsT()
    return op

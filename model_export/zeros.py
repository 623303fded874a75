"""Zeros cost no bytes: a variable that begins at zero, or is set to it, is filled at run time.

The converter folds zeros into constants, which would store an optimizer's slots in the file. Here
each such constant becomes a FILL of its shape; any runtime that knows variables knows FILL.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

IDENTIFIER = b"TFL3"
MIN_BYTES = 256
BUFFER_ALIGNMENT = 16


def without_stored_zeros(model: bytes) -> bytes:
    """Rewrites a .tflite so that no constant of zeros is assigned to a variable.

    Constants under ``MIN_BYTES`` stay; a model without larger ones comes back as it is.
    """
    root: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    emptied = {index for graph in root.subgraphs for index in _fill(root, graph)}
    if not emptied:
        return model
    kept = {tensor.buffer for graph in root.subgraphs for tensor in graph.tensors}
    for index in emptied - kept:
        root.buffers[index].data = None
    return _packed(root)


class _Builder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
    """Aligns constants as the schema demands; the generated code does not."""

    def CreateNumpyVector(self, x: Any) -> Any:  # noqa: N802  # flatbuffers' own name
        self.Prep(BUFFER_ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)


def _fill(root: Any, graph: Any) -> list[int]:
    """Puts a FILL in place of each constant of zeros; returns the buffers they were stored in."""
    assign = schema.BuiltinOperator.ASSIGN_VARIABLE
    assigned = [
        op.inputs[1]
        for op in graph.operators
        if _kind(root.operatorCodes[op.opcodeIndex]) == assign
    ]
    found = [index for index in dict.fromkeys(assigned) if _is_zeros(root, graph.tensors[index])]
    emptied = [graph.tensors[index].buffer for index in found]
    for index in found:
        tensor = graph.tensors[index]
        inputs = [
            _constant(root, graph, np.array(tensor.shape, np.int32), schema.TensorType.INT32),
            _constant(root, graph, np.zeros((), np.float32), schema.TensorType.FLOAT32),
        ]
        tensor.buffer = _buffer(root, None)
        graph.operators.insert(0, _fill_op(root, inputs, index))
    return emptied


def _is_zeros(root: Any, tensor: Any) -> bool:
    data = root.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None or len(data) < MIN_BYTES:
        return False
    return not np.any(data)


def _constant(root: Any, graph: Any, value: Any, kind: int) -> int:
    tensor = schema.TensorT()
    tensor.name = f"zeros/{len(graph.tensors)}"
    tensor.shape = list(value.shape)
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
    op.opcodeIndex = _opcode(root, schema.BuiltinOperator.FILL)
    op.inputs = inputs
    op.outputs = [output]
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


def _packed(root: Any) -> bytes:
    builder = _Builder(1 << 16)
    builder.Finish(root.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())

"""The .tflite flatbuffer as objects that can be changed, and back to bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16
# The schema wants the first buffer to hold nothing.
EMPTY = 0
# The slot of Buffer.data, the first field of its table.
_DATA_FIELD = 4


def parsed(model: bytes) -> Any:
    """The model as the objects of the schema."""
    return schema.ModelT.InitFromPackedBuf(model, 0)


def packed(root: Any) -> bytes:
    """The bytes of a model; equal shapes, names and options of operators are written once."""
    known: dict[tuple[Any, ...], _Once] = {}
    for op in (op for graph in root.subgraphs for op in graph.operators):
        if op.builtinOptions is not None and not isinstance(op.builtinOptions, _Once):
            once = _Once(op.builtinOptions)
            op.builtinOptions = known.setdefault(once.key, once)
    builder = _Builder(1 << 16)
    builder.Finish(root.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def kind_of(root: Any, op: Any) -> int:
    """The builtin operator that ``op`` is."""
    code = root.operatorCodes[op.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def opcode(root: Any, kind: int, *, version: int = 1) -> int:
    """The index of a builtin operator among those the model declares; declares it if need be."""
    for index, code in enumerate(root.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == kind and code.version >= version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = version
    root.operatorCodes.append(code)
    return len(root.operatorCodes) - 1


def indices(side: Any) -> list[int]:
    """The tensors on one side of an operator or a subgraph, without optional ones left out."""
    return [] if side is None else [int(index) for index in side if index >= 0]


def add_buffer(root: Any, data: Any) -> int:
    """Adds a buffer, empty for ``None``; returns its index."""
    buffer = schema.BufferT()
    buffer.data = data
    root.buffers.append(buffer)
    return len(root.buffers) - 1


def add_metadata(root: Any, name: bytes, data: Any) -> None:
    """Adds a note about the model, which no runtime needs."""
    entry: Any = schema.MetadataT()
    entry.name, entry.buffer = name, add_buffer(root, data)
    root.metadata = [*(root.metadata or []), entry]


def add_tensor(graph: Any, *, shape: Any, kind: int, buffer: int) -> int:
    """Adds a tensor to a subgraph; returns its index."""
    tensor = schema.TensorT()
    tensor.shape = list(shape)
    tensor.type = kind
    tensor.buffer = buffer
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def floats_of(root: Any, tensor: Any) -> Any:
    """The values of a float32 constant, flat; None for any other tensor."""
    data = root.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None or not len(data):
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32)


def places_of_constants(model: bytes) -> Iterator[int]:
    """Where in the file each constant begins, in bytes."""
    root: Any = schema.Model.GetRootAs(model, 0)
    for index in range(root.BuffersLength()):
        buffer = root.Buffers(index)
        if buffer.DataLength():
            table = buffer._tab
            yield int(table.Vector(table.Offset(_DATA_FIELD)))


class _Once:
    """Options that are written when they are first met, and pointed to after that."""

    def __init__(self, options: Any) -> None:
        self.key = (type(options), *map(str, vars(options).values()))
        self._options = options
        self._place: int | None = None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  # flatbuffers' own name
        if self._place is None:
            self._place = int(self._options.Pack(builder))
        return self._place


class _Builder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
    """Aligns constants as the schema demands, and writes no list of numbers twice.

    The generated code does neither. Method names are flatbuffers' own.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[int, bytes], int] = {}
        self._opened: tuple[int, int] | None = None

    def CreateNumpyVector(self, x: Any) -> Any:  # noqa: N802
        if x.dtype == np.uint8:
            self.Prep(BUFFER_ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        self._opened = self.Offset(), alignment
        return super().StartVector(elemSize, numElems, alignment)

    def PrependUOffsetTRelative(self, off: int) -> None:  # noqa: N802
        # What holds offsets is never equal: they count from where they stand.
        self._opened = None
        super().PrependUOffsetTRelative(off)

    def EndVector(self, numElems: Any = None) -> int:  # noqa: N802, N803
        """Ends a vector, or a string, which none of ours opens."""
        place, opened = int(super().EndVector(numElems)), self._opened
        self._opened = None
        if opened is None:
            return place
        start, alignment = opened
        end = len(self.Bytes) - start
        body = bytes(self.Bytes[self.Head() : end])
        known = self._written.setdefault((alignment, body), place)
        if known != place:
            self.head = end
        return known

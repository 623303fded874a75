"""One pass over a .tflite: zeros are filled in at run time, and equal parts are stored once."""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from .packing import packed
from .zeros import fill_zeros

NO_DATA = 0


def compact(model: bytes) -> bytes:
    """Rewrites a .tflite so that it computes the same in fewer bytes.

    Names of inner tensors are left out; those of inputs, outputs and variables stay.
    """
    root: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    for graph in root.subgraphs:
        fill_zeros(root, graph)
        _leave_out_names(graph)
    _keep_used_buffers(root)
    return packed(root)


def _leave_out_names(graph: Any) -> None:
    named = {*graph.inputs, *graph.outputs}
    for index, tensor in enumerate(graph.tensors):
        if index not in named:
            tensor.name = b""
        if tensor.quantization is not None and tensor.quantization.scale is None:
            tensor.quantization = None


def _keep_used_buffers(root: Any) -> None:
    """Leaves buffers with content, once each; all that hold nothing become the first."""
    kept = [root.buffers[NO_DATA]]
    places = {_content(root.buffers[NO_DATA]): NO_DATA}
    for owner in _owners(root):
        buffer = root.buffers[owner.buffer]
        content = _content(buffer)
        if content not in places:
            places[content] = len(kept)
            kept.append(buffer)
        owner.buffer = places[content]
    root.buffers = kept
    root.metadataBuffer = None


def _owners(root: Any) -> list[Any]:
    tensors = [tensor for graph in root.subgraphs for tensor in graph.tensors]
    return [*tensors, *(root.metadata or [])]


def _content(buffer: Any) -> bytes:
    return b"" if buffer.data is None else bytes(buffer.data)

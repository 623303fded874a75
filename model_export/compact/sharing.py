"""What is equal is stored once: tensors with the same bytes share one buffer.

The converter leaves copies behind: a kernel that the backward pass reads in another shape, an empty
buffer for each inner tensor. Names of inner tensors serve nobody on a phone and are dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .flatbuffer import EMPTY, indices


def share(root: Any) -> None:
    """Rewrites a model so that no two buffers hold the same bytes, and none is unused."""
    for graph in root.subgraphs:
        _strip(graph)
    holders = [tensor for graph in root.subgraphs for tensor in graph.tensors]
    holders += root.metadata or []
    first = _first_of_each(root.buffers)
    kept = sorted({EMPTY, *(first[holder.buffer] for holder in holders)})
    place = {index: number for number, index in enumerate(kept)}
    for holder in holders:
        holder.buffer = place[first[holder.buffer]]
    root.buffers = [root.buffers[index] for index in kept]


def _first_of_each(buffers: list[Any]) -> dict[int, int]:
    """By the index of a buffer, that of the first one with the same bytes; 0 is the empty one."""
    seen = {b"": EMPTY}
    return {
        index: seen.setdefault(_bytes_of(buffer), index) for index, buffer in enumerate(buffers)
    }


def _bytes_of(buffer: Any) -> bytes:
    return b"" if buffer.data is None else np.asarray(buffer.data, np.uint8).tobytes()


def _strip(graph: Any) -> None:
    """Leaves a tensor a name only where a caller finds it, and bytes only where an op does."""
    ends = {*indices(graph.inputs), *indices(graph.outputs)}
    used = {index for op in graph.operators for index in indices(op.inputs)}
    for index, tensor in enumerate(graph.tensors):
        tensor.quantization = None
        if index not in ends:
            tensor.name = None
        if index not in ends | used:
            tensor.buffer = EMPTY

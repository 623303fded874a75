"""The safetensors container: a header that both sides know, then tensors as little-endian bytes.

An 8-byte little-endian length, that many bytes of JSON, then the data without holes. The header is
canonical: it follows from the fields alone, so a receiver compares it byte for byte and there is
nothing to parse.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .errors import PayloadTooLarge, SpecMismatch, TruncatedBody

MAX_HEADER_BYTES = 64 * 1024
F32: np.dtype[np.float32] = np.dtype("<f4")
F16: np.dtype[np.float16] = np.dtype("<f2")
U32: np.dtype[np.uint32] = np.dtype("<u4")
# The container's word for a type -> bytes of an element.
ITEM_BYTES = {"F32": 4, "F16": 2, "U32": 4, "I8": 1, "U8": 1}

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Field:
    """One tensor of a container; ``dtype`` is a key of ``ITEM_BYTES``."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def header(fields: Iterable[Field]) -> bytes:
    """The canonical header of some fields, length prefix included; a multiple of eight bytes long.

    Raises SpecMismatch when two fields have one name or the names do not fit into
    ``MAX_HEADER_BYTES``.
    """
    tensors: dict[str, object] = {}
    end = 0
    for field in fields:
        if field.name in tensors:
            raise SpecMismatch(f"two tensors of one container are named {field.name!r}; rename one")
        begin, end = end, end + field.bytes
        shape = list(field.shape)
        tensors[field.name] = {"dtype": field.dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(tensors, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    if 8 + len(text) > MAX_HEADER_BYTES:
        raise SpecMismatch(f"the header takes {8 + len(text)} bytes, at most {MAX_HEADER_BYTES}")
    return struct.pack("<Q", len(text)) + text


def length(fields: tuple[Field, ...]) -> int:
    """The exact length of every container of these fields."""
    return len(header(fields)) + sum(field.bytes for field in fields)


def payload(body: Buffer, fields: tuple[Field, ...]) -> memoryview:
    """The data behind the header of ``body``, not copied.

    Raises TruncatedBody or PayloadTooLarge when the length is off, SpecMismatch when the header
    is not the canonical one.
    """
    expected = header(fields)
    wanted = len(expected) + sum(field.bytes for field in fields)
    if len(body) < wanted:
        raise TruncatedBody(f"got {len(body)} bytes, expected {wanted}; send the whole body again")
    if len(body) > wanted:
        raise PayloadTooLarge(f"got {len(body)} bytes, expected {wanted}; send nothing behind them")
    if body[: len(expected)] != expected:
        raise SpecMismatch(
            "the header is not the canonical one of this model and codec; "
            "make it from the layout as docs/protocol.md says"
        )
    return memoryview(body)[len(expected) :]

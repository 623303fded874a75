"""The IDX format of the MNIST files: two zero bytes, a type, a rank, big-endian sides, values."""

from __future__ import annotations

import math
import struct

import numpy as np
import numpy.typing as npt

from ...protocol.errors import DataError

Bytes = npt.NDArray[np.uint8]
_UNSIGNED_BYTE = 0x08


def decode(raw: bytes) -> Bytes:
    """Reads an array of unsigned bytes; raises DataError when the header does not fit the body."""
    if len(raw) < 4 or raw[:3] != bytes((0, 0, _UNSIGNED_BYTE)) or len(raw) < 4 + 4 * raw[3]:
        raise DataError(f"these {len(raw)} bytes do not start with an IDX header of unsigned bytes")
    rank = raw[3]
    shape = struct.unpack_from(f">{rank}I", raw, 4)
    start = 4 + 4 * rank
    if len(raw) - start != math.prod(shape):
        raise DataError(f"the IDX header says {shape}, but {len(raw) - start} values follow")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def encode(array: Bytes) -> bytes:
    """Writes an array of unsigned bytes; equal arrays are equal bytes."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.tobytes()

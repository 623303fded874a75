"""Bytes <-> weights: a safetensors container whose header the receiver already knows.

An 8-byte little-endian length, that many bytes of JSON, then every tensor as little-endian float32
in the order of the spec. The server issues the header with the checkpoint and demands the same
bytes back, so an upload is a flat array of known length and there is no header to parse.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct

import numpy as np

from .errors import MalformedPayload, NonFiniteDelta, PayloadTooLarge, SpecMismatch, TruncatedBody
from .weights import Vector, Weights, WeightSpec

MEDIA_TYPE = "application/vnd.pocketfed.weights+safetensors"
MAX_HEADER_BYTES = 64 * 1024
_DTYPE = np.dtype("<f4")


def header(spec: WeightSpec) -> bytes:
    """The canonical header of a spec, length prefix included; its length is a multiple of eight.

    Raises SpecMismatch when the names of the spec do not fit into ``MAX_HEADER_BYTES``.
    """
    tensors = {
        entry.name: {
            "dtype": "F32",
            "shape": list(entry.shape),
            "data_offsets": [
                entry.offset * _DTYPE.itemsize,
                (entry.offset + entry.size) * _DTYPE.itemsize,
            ],
        }
        for entry in spec.entries
    }
    text = json.dumps(tensors, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    if 8 + len(text) > MAX_HEADER_BYTES:
        raise SpecMismatch(f"the header takes {8 + len(text)} bytes, at most {MAX_HEADER_BYTES}")
    return struct.pack("<Q", len(text)) + text


def encoded_bytes(spec: WeightSpec) -> int:
    """The exact length of every message that carries weights of this spec."""
    return len(header(spec)) + spec.size * _DTYPE.itemsize


def encode(weights: Weights) -> bytes:
    """Encodes a checkpoint or a delta."""
    return header(weights.spec) + weights.vector.astype(_DTYPE, copy=False).tobytes()


def decode(body: bytes, spec: WeightSpec) -> Weights:
    """Reads weights of a known spec; the result is a read-only view of ``body``.

    Raises TruncatedBody or PayloadTooLarge when the length is off, SpecMismatch when the header
    is not the canonical one.
    """
    expected = header(spec)
    wanted = len(expected) + spec.size * _DTYPE.itemsize
    if len(body) < wanted:
        raise TruncatedBody(f"got {len(body)} bytes, expected {wanted}; send the whole body again")
    if len(body) > wanted:
        raise PayloadTooLarge(f"got {len(body)} bytes, expected {wanted}")
    if body[: len(expected)] != expected:
        raise SpecMismatch("the header is not the one of this task's checkpoint; copy that one")
    vector = np.frombuffer(body, _DTYPE, offset=len(expected))
    return Weights(spec, vector.astype(np.float32, copy=False))


def require_finite(vector: Vector) -> None:
    """Raises NonFiniteDelta when any element is NaN or infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not np.isfinite(np.dot(vector, vector))
    if suspect and not np.isfinite(vector).all():
        index = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise NonFiniteDelta(f"element {index} is {vector[index]}; discard this delta")


def sha256(body: bytes) -> str:
    """The name of some bytes: 64 lower-case hex digits."""
    return hashlib.sha256(body).hexdigest()


def content_digest(digest: str) -> str:
    """A hex SHA-256 as the value of a Content-Digest field (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:"


def parse_content_digest(field: str) -> str:
    """The hex SHA-256 in a Content-Digest field; raises MalformedPayload when there is none."""
    for member in field.split(","):
        algorithm, _, value = member.strip().partition("=")
        if algorithm.lower() == "sha-256" and len(value) > 2 and value[0] == value[-1] == ":":
            try:
                raw = base64.b64decode(value[1:-1], validate=True)
            except ValueError as error:
                raise MalformedPayload(f"Content-Digest is not base64: {value}") from error
            if len(raw) == 32:
                return raw.hex()
    raise MalformedPayload(f"Content-Digest carries no sha-256 of 32 bytes: {field[:100]!r}")

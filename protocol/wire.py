"""Bytes <-> checkpoints, digests, and what every body has in common.

A checkpoint, and a delta in the codec float32, is a container (``container``) of float32 tensors in
the order of the spec. The other encodings of a delta are in ``codecs``.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

import numpy as np

from . import container
from .container import F32, Field
from .errors import MalformedPayload, NonFiniteDelta
from .weights import Vector, Weights, WeightSpec

MEDIA_TYPE = "application/vnd.pocketfed.weights+safetensors"


def fields(spec: WeightSpec) -> tuple[Field, ...]:
    """The tensors of a checkpoint."""
    return tuple(Field(entry.name, "F32", entry.shape) for entry in spec.entries)


def header(spec: WeightSpec) -> bytes:
    """The canonical header of a checkpoint; raises SpecMismatch when it would be too long."""
    return container.header(fields(spec))


@lru_cache
def encoded_bytes(spec: WeightSpec) -> int:
    """The exact length of every checkpoint of this spec."""
    return container.length(fields(spec))


def encode(weights: Weights) -> bytes:
    """Encodes a checkpoint, or a delta as it is."""
    return header(weights.spec) + weights.vector.astype(F32, copy=False).tobytes()


def decode(body: container.Buffer, spec: WeightSpec) -> Weights:
    """Reads weights of a known spec; the result is a view of ``body``.

    Raises TruncatedBody or PayloadTooLarge when the length is off, SpecMismatch when the header
    is not the canonical one.
    """
    vector = np.frombuffer(container.payload(body, fields(spec)), F32)
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

"""The container: canonical header, exact length, and what is refused."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pocketfed.protocol import wire
from pocketfed.protocol.errors import (
    MalformedPayload,
    NonFiniteDelta,
    PayloadTooLarge,
    ProtocolError,
    SpecMismatch,
    TruncatedBody,
)
from pocketfed.protocol.weights import Weights, WeightSpec

SPEC = WeightSpec.of({"dense/kernel": (3, 2), "dense/bias": (2,), "scale": ()})
WEIGHTS = Weights(SPEC, np.arange(9, dtype=np.float32))
GOLDEN = Path(__file__).parents[1] / "golden" / "wire"


@given(arrays(np.float32, 9, elements=st.floats(width=32)))
def test_weights_survive_the_wire_to_the_bit(vector: np.ndarray) -> None:
    back = wire.decode(wire.encode(Weights(SPEC, vector)), SPEC)
    assert back.vector.tobytes() == vector.tobytes()


def test_the_encoding_is_the_golden_file() -> None:
    assert wire.encode(WEIGHTS) == (GOLDEN / "valid" / "three_tensors.safetensors").read_bytes()


def test_the_safetensors_library_reads_the_same_tensors() -> None:
    tensors = safetensors.numpy.load(wire.encode(WEIGHTS))
    assert set(tensors) == {"dense/kernel", "dense/bias", "scale"}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, WEIGHTS[name])


def test_every_message_of_a_spec_has_the_same_length() -> None:
    assert wire.encoded_bytes(SPEC) == len(wire.encode(WEIGHTS))
    assert len(wire.header(SPEC)) % 8 == 0


@pytest.mark.parametrize("cut", [0, 1, 8, 100, 9 * 4 - 1])
def test_a_short_body_is_truncated(cut: int) -> None:
    body = wire.encode(WEIGHTS)
    with pytest.raises(TruncatedBody, match=f"expected {len(body)}"):
        wire.decode(body[:cut], SPEC)


def test_a_long_body_is_too_large() -> None:
    with pytest.raises(PayloadTooLarge):
        wire.decode(wire.encode(WEIGHTS) + b"\0", SPEC)


def _with_header(text: bytes) -> bytes:
    body = wire.encode(WEIGHTS)
    head = wire.header(SPEC)
    return (struct.pack("<Q", len(text)) + text.ljust(len(head) - 8))[: len(head)] + body[
        len(head) :
    ]


@pytest.mark.parametrize(
    "text",
    [
        wire.header(SPEC)[8:].replace(b"F32", b"I32"),
        wire.header(SPEC)[8:].replace(b"bias", b"bia2"),
        wire.header(SPEC)[8:].replace(b"[3,2]", b"[2,3]"),
        b"{}",
        b"\x80\x04pickle",
    ],
    ids=["dtype", "name", "shape", "empty", "pickle"],
)
def test_any_other_header_is_refused(text: bytes) -> None:
    with pytest.raises(SpecMismatch, match="header"):
        wire.decode(_with_header(text), SPEC)


@given(st.binary(max_size=400))
def test_noise_is_refused_with_a_protocol_error(noise: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.decode(noise, SPEC)


def test_a_header_beyond_its_cap_is_refused_when_it_is_made() -> None:
    spec = WeightSpec.of({f"{i:060}": () for i in range(1000)})
    with pytest.raises(SpecMismatch, match="at most 65536"):
        wire.header(spec)


def test_the_header_is_canonical_json() -> None:
    text = wire.header(SPEC)[8:]
    assert list(json.loads(text)) == ["dense/kernel", "dense/bias", "scale"]
    assert text.rstrip(b" ").count(b" ") == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_non_finite_element_is_found(bad: float) -> None:
    vector = np.zeros(1000, np.float32)
    vector[700] = bad
    with pytest.raises(NonFiniteDelta, match="element 700"):
        wire.require_finite(vector)


def test_large_finite_elements_are_finite() -> None:
    wire.require_finite(np.full(10, 3e38, np.float32))


@given(st.binary(min_size=32, max_size=32))
def test_a_content_digest_field_round_trips(digest: bytes) -> None:
    assert wire.parse_content_digest(wire.content_digest(digest.hex())) == digest.hex()


def test_the_sha_256_is_picked_among_other_digests() -> None:
    field = f"md5=:AAAA:, {wire.content_digest('ab' * 32)}"
    assert wire.parse_content_digest(field) == "ab" * 32


@pytest.mark.parametrize("field", ["", "sha-256=abc", "sha-256=::", "sha-256=:AA==:", "md5=:AA==:"])
def test_an_unreadable_content_digest_is_refused(field: str) -> None:
    with pytest.raises(MalformedPayload):
        wire.parse_content_digest(field)

"""Makes the golden bodies of every codec; run it with Python after the encodings have changed.

``index.json`` is the list for every implementation of the protocol, in whatever language:

- ``spec``: the layout of the model, as in a task;
- ``delta``: a file of little-endian float32 that was encoded, all tensors in order;
- ``valid``: ``codec``, ``body`` (a file), ``decoded`` (a file of the float32 that decoding gives to
  the bit), ``is_exact`` (claims that encoding the delta to nearest gives this very body; frames
  depend on the version of the compressor);
- ``invalid``: ``name``, ``codec``, ``body`` and the ``code`` of the error that decoding raises.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from backports import zstd
from pocketfed.protocol.codecs import ENCODINGS, codec_named
from pocketfed.protocol.weights import Weights, WeightSpec

FOLDER = Path(__file__).parent
SPEC = WeightSpec.of({"dense/kernel": (3, 3), "dense/bias": (4,), "scale": (), "still": (2,)})
TOPK = "topk:0.25"
BOMB = bytes(1024**2)
SPEC_CODE = "spec_mismatch"
FRAME_CODE = "invalid_encoding"


class Invalid(NamedTuple):
    """A body that its codec must refuse, with this code."""

    name: str
    codec: str
    body: bytes
    code: str


def delta() -> Weights:
    """Elements of both signs and many sizes, zeros among them, and a tensor of zeros alone."""
    vector = np.random.default_rng(20_260).standard_normal(SPEC.size).astype(np.float32)
    vector *= np.float32(0.01)
    vector[[1, 5, 10]] = 0.0
    weights = Weights(SPEC, vector)
    weights["still"][...] = 0.0
    return weights


def valid() -> Iterator[tuple[str, bytes]]:
    """Codec and body of every encoding, rounded to nearest."""
    for family in ENCODINGS:
        name = family.replace("topk", TOPK)
        yield name, codec_named(name).encode(delta(), None)


def plain(name: str) -> bytes:
    return codec_named(name).encode(delta(), None)


def with_data(name: str, offset: int, data: bytes) -> bytes:
    """The body with other bytes at an offset behind its header; a negative one is from the end."""
    body = bytearray(plain(name))
    begin = len(body) + offset if offset < 0 else _header_bytes(body) + offset
    body[begin : begin + len(data)] = data
    return bytes(body)


def invalid() -> Iterator[Invalid]:
    yield from _containers()
    yield from _numbers()
    yield from _places()
    yield from _zlib_frames()
    yield from _zstd_frames()


def _containers() -> Iterator[Invalid]:
    for name in ("float32", "float16", "int8", "int4", TOPK):
        body = plain(name)
        yield Invalid("nothing", name, b"", "truncated_body")
        yield Invalid("cut", name, body[:-1], "truncated_body")
        yield Invalid("trailing", name, body + b"\0", "payload_too_large")
        endless = struct.pack("<Q", 2**63) + body[8:]
        yield Invalid("endless_header", name, endless, "spec_mismatch")
        other_type = body.replace(b'"dtype":"', b'"dtype":"B', 1)[:-1]
        yield Invalid("other_type", name, other_type, SPEC_CODE)
        yield Invalid("pickle", name, b"\x80\x05" + body[2:], SPEC_CODE)
    body = plain("int8")
    yield Invalid("other_shape", "int8", body.replace(b"[3,3]", b"[9,1]"), SPEC_CODE)
    yield Invalid("other_name", "int8", body.replace(b"bias", b"bia5"), SPEC_CODE)
    yield Invalid("other_spacing", "int8", body.replace(b",", b", ", 1)[:-1], SPEC_CODE)


def _numbers() -> Iterator[Invalid]:
    for word, value in (("nan", np.nan), ("inf", np.inf), ("minus_inf", -np.inf)):
        for name in ("float32", TOPK):
            body = with_data(name, -4, np.float32(value).astype("<f4").tobytes())
            yield Invalid(word, name, body, "non_finite_delta")
        half = with_data("float16", -2, np.float16(value).astype("<f2").tobytes())
        yield Invalid(word, "float16", half, "non_finite_delta")
        for name in ("int8", "int4"):
            body = with_data(name, 4, np.float32(value).astype("<f4").tobytes())
            yield Invalid(f"{word}_scale", name, body, "invalid_encoding")
    for name in ("int8", "int4"):
        for word, value in (("negative", -1e-3), ("negative_zero", -0.0)):
            body = with_data(name, 0, np.float32(value).astype("<f4").tobytes())
            yield Invalid(f"{word}_scale", name, body, "invalid_encoding")
        huge = with_data(name, 0, np.float32(3e38).astype("<f4").tobytes())
        yield Invalid("overflowing_scale", name, huge, "non_finite_delta")
    yield Invalid("minus_128", "int8", with_data("int8", 16, b"\x80"), "invalid_encoding")
    yield Invalid("minus_8_low", "int4", with_data("int4", 16, b"\x08"), "invalid_encoding")
    yield Invalid("minus_8_high", "int4", with_data("int4", 16, b"\x80"), "invalid_encoding")
    # dense/kernel has nine elements, so its fifth byte has a half that means nothing.
    yield Invalid("unused_half", "int4", with_data("int4", 20, b"\x10"), "invalid_encoding")


def _places() -> Iterator[Invalid]:
    games = {
        "beyond": [0, 1, 2, SPEC.size],
        "far_beyond": [0, 1, 2, 2**32 - 1],
        "repeated": [0, 1, 1, 2],
        "falling": [3, 2, 1, 0],
        "last_falls": [0, 1, 3, 2],
    }
    for word, places in games.items():
        body = with_data(TOPK, 0, np.array(places, "<u4").tobytes())
        yield Invalid(word, TOPK, body, "invalid_encoding")


def _zlib_frames() -> Iterator[Invalid]:
    body, frame = plain("int8"), zlib.compress(plain("int8"))
    with_dictionary = zlib.compressobj(zdict=body[:64])
    cases = {
        "nothing": (b"", FRAME_CODE),
        "cut": (frame[:-1], FRAME_CODE),
        "cut_early": (frame[:20], FRAME_CODE),
        "trailing": (frame + b"\0", FRAME_CODE),
        "twice": (frame + frame, FRAME_CODE),
        "wrong_checksum": (frame[:-1] + bytes([frame[-1] ^ 1]), FRAME_CODE),
        "raw_deflate": (frame[2:-4], FRAME_CODE),
        "gzip": (zlib.compress(body, wbits=31), FRAME_CODE),
        "dictionary": (with_dictionary.compress(body) + with_dictionary.flush(), FRAME_CODE),
        "noise": (bytes(range(256)), FRAME_CODE),
        "one_byte_short": (zlib.compress(body[:-1]), FRAME_CODE),
        "one_byte_long": (zlib.compress(body + b"\0"), "payload_too_large"),
        "bomb": (zlib.compress(BOMB, 9), "payload_too_large"),
        "too_long": (frame + bytes(4096), "payload_too_large"),
        "not_framed": (body, FRAME_CODE),
        "other_header": (zlib.compress(b"\x80\x05" + body[2:]), SPEC_CODE),
        "nan_scale": (zlib.compress(_nan_scale()), "invalid_encoding"),
    }
    for word, (bad, code) in cases.items():
        yield Invalid(word, "int8+zlib", bad, code)


def _zstd_frames() -> Iterator[Invalid]:
    body, frame = plain("int8"), zstd.compress(plain("int8"))
    checked = zstd.compress(body, options={zstd.CompressionParameter.checksum_flag: 1})
    wide = {zstd.CompressionParameter.window_log: 27}
    magic = struct.pack("<I", 0xFD2FB528)
    # Frame header descriptors: 0xC0 has an 8-byte size and a window, 0xE0 a size alone.
    claims = struct.pack("<Q", 2**60)
    empty_block = b"\x01\x00\x00"
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"skip"
    cases = {
        "nothing": (b"", FRAME_CODE),
        "cut": (frame[:-1], FRAME_CODE),
        "cut_early": (frame[:20], FRAME_CODE),
        "trailing": (frame + b"\0", FRAME_CODE),
        "twice": (frame + frame, FRAME_CODE),
        "wrong_checksum": (checked[:-1] + bytes([checked[-1] ^ 1]), FRAME_CODE),
        "skippable_first": (skippable + frame, FRAME_CODE),
        "dictionary": (_with_dictionary(body), FRAME_CODE),
        "noise": (bytes(range(256)), FRAME_CODE),
        "one_byte_short": (zstd.compress(body[:-1]), FRAME_CODE),
        "one_byte_long": (zstd.compress(body + b"\0"), "payload_too_large"),
        "bomb_with_size": (zstd.compress(BOMB), "payload_too_large"),
        "bomb_without_size": (_streamed(BOMB), "payload_too_large"),
        "exbibyte_claimed": (magic + b"\xc0\x58" + claims + empty_block, FRAME_CODE),
        "exbibyte_in_one_segment": (magic + b"\xe0" + claims + empty_block, FRAME_CODE),
        "window_of_128_mib": (_streamed(body, wide), FRAME_CODE),
        "too_long": (frame + bytes(4096), "payload_too_large"),
        "not_framed": (body, FRAME_CODE),
        "zlib": (zlib.compress(body), FRAME_CODE),
        "other_header": (zstd.compress(b"\x80\x05" + body[2:]), SPEC_CODE),
        "nan_scale": (zstd.compress(_nan_scale()), "invalid_encoding"),
    }
    for word, (bad, code) in cases.items():
        yield Invalid(word, "int8+zstd", bad, code)


def _header_bytes(body: bytes | bytearray) -> int:
    return 8 + int.from_bytes(body[:8], "little")


def _nan_scale() -> bytes:
    return with_data("int8", 0, np.float32(np.nan).astype("<f4").tobytes())


def _streamed(content: bytes, options: Mapping[Any, int] | None = None) -> bytes:
    """A frame that does not say how much it holds."""
    stream = zstd.ZstdCompressor(options=options)
    return stream.compress(content) + stream.flush()


def _with_dictionary(content: bytes) -> bytes:
    samples = [bytes([i]) * 20 + content[i : i + 100] for i in range(200)]
    return zstd.compress(content, zstd_dict=zstd.train_dict(samples, 1024))


def write() -> None:
    """Writes all files and the index."""
    (FOLDER / "delta.f32").write_bytes(delta().vector.astype("<f4").tobytes())
    index = {
        "spec": [msgspec.to_builtins(entry) for entry in SPEC.entries],
        "delta": "delta.f32",
        "valid": [_write_valid(name, body) for name, body in valid()],
        "invalid": [_write_invalid(case) for case in invalid()],
    }
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1) + "\n", "utf-8")


def _write_valid(name: str, body: bytes) -> dict[str, object]:
    codec, stem = codec_named(name), _stem(name)
    decoded = f"valid/{stem.partition('+')[0]}.f32"
    (FOLDER / decoded).write_bytes(codec.decode(body, SPEC).astype("<f4").tobytes())
    (FOLDER / f"valid/{stem}.bin").write_bytes(body)
    exact = codec.is_exact
    return {"codec": name, "body": f"valid/{stem}.bin", "decoded": decoded, "is_exact": exact}


def _write_invalid(case: Invalid) -> dict[str, str]:
    body = f"invalid/{_stem(case.codec)}-{case.name}.bin"
    (FOLDER / body).write_bytes(case.body)
    return {"name": case.name, "codec": case.codec, "body": body, "code": case.code}


def _stem(name: str) -> str:
    return name.replace(":", "_")


if __name__ == "__main__":
    write()

"""Frames: a codec whose bodies are compressed as a whole.

A frame is opened piece by piece and no further than the body it must hold, whatever it claims:
decoders that work in one call take a frame's word for its size, and 15 kB become 500 MB.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from backports import zstd

from ..container import Buffer
from ..errors import InvalidEncoding, PayloadTooLarge
from ..weights import Vector, Weights, WeightSpec
from .codec import Codec

MAX_WINDOW_LOG = 23
PIECE_BYTES = 64 * 1024


class Frame(NamedTuple):
    """A way to compress. ``pieces`` opens a frame, at most PIECE_BYTES of content at a time.

    It raises InvalidEncoding at the end of a frame that is cut or that something follows.
    """

    name: str
    compress: Callable[[bytes], bytes]
    pieces: Callable[[Buffer], Iterator[bytes]]


def framed(inner: Codec, frame: Frame) -> Codec:
    """Wraps a codec of exact length so that its bodies travel in one frame each."""

    def encode(delta: Weights, rng: np.random.Generator | None) -> bytes:
        return frame.compress(inner.encode(delta, rng))

    def decode(body: Buffer, spec: WeightSpec) -> Vector:
        if len(body) > max_bytes(spec):
            raise PayloadTooLarge(f"got {len(body)} bytes, expected at most {max_bytes(spec)}")
        return inner.decode(_opened(frame, body, length=inner.max_bytes(spec)), spec)

    def max_bytes(spec: WeightSpec) -> int:
        return frame_limit(inner.max_bytes(spec))

    name = f"{inner.name}+{frame.name}"
    return Codec(name, encode, decode, max_bytes, is_exact=False, leaves_out=inner.leaves_out)


def frame_limit(length: int) -> int:
    """The longest frame of ``length`` bytes: either format adds less to what does not shrink."""
    return length + length // 128 + 1024


def _opened(frame: Frame, body: Buffer, *, length: int) -> bytearray:
    content, filled = bytearray(length), 0
    try:
        for piece in frame.pieces(body):
            end = filled + len(piece)
            if end > length:
                raise PayloadTooLarge(
                    f"the {frame.name} frame holds more than the {length} bytes of this codec"
                )
            content[filled:end] = piece
            filled = end
    except (zlib.error, zstd.ZstdError) as error:
        raise InvalidEncoding(
            f"the body is no {frame.name} frame ({error}); encode the delta again"
        ) from error
    if filled < length:
        raise InvalidEncoding(f"the {frame.name} frame holds {filled} bytes, expected {length}")
    return content


def zlib_pieces(body: Buffer) -> Iterator[bytes]:
    """Opens one zlib stream (RFC 1950)."""
    stream, fed = zlib.decompressobj(), 0
    while fed < len(body) and not stream.eof:
        pending: Buffer = body[fed : fed + PIECE_BYTES]
        fed += len(pending)
        is_full = True
        while is_full:
            piece = stream.decompress(pending, PIECE_BYTES)
            yield piece
            # zlib may still hold content when it has taken in all of its input.
            pending, is_full = stream.unconsumed_tail, len(piece) == PIECE_BYTES
    trailing = len(stream.unused_data) + len(body) - fed
    _require_end("zlib", has_ended=stream.eof, trailing=trailing)


def zstd_pieces(body: Buffer) -> Iterator[bytes]:
    """Opens one Zstandard frame (RFC 8878) with a window of at most 8 MiB."""
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
    stream, fed = zstd.ZstdDecompressor(options=options), 0
    while fed < len(body) and not stream.eof:
        pending: Buffer = body[fed : fed + PIECE_BYTES]
        fed += len(pending)
        yield stream.decompress(pending, PIECE_BYTES)
        while not (stream.eof or stream.needs_input):
            yield stream.decompress(b"", PIECE_BYTES)
    trailing = len(stream.unused_data) + len(body) - fed
    _require_end("zstd", has_ended=stream.eof, trailing=trailing)


def _require_end(name: str, *, has_ended: bool, trailing: int) -> None:
    if not has_ended:
        raise InvalidEncoding(f"the {name} frame is cut short; compress the body again")
    if trailing:
        raise InvalidEncoding(f"{trailing} bytes follow the {name} frame; send one frame alone")


FRAMES = {
    "zlib": Frame("zlib", zlib.compress, zlib_pieces),
    "zstd": Frame("zstd", zstd.compress, zstd_pieces),
}

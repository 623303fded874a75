"""The names of codecs: what each means, and how a server and a device agree on one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from ..errors import UnknownCodec
from .codec import Codec
from .floats import float16, float32
from .framing import FRAMES, framed
from .integers import int4, int8
from .sparse import topk

FLOAT32 = "float32"
_PLAIN = {codec.name: codec for codec in (float32(), float16(), int8(), int4())}
_TOPK = "topk"
# A fraction has one spelling: no trailing zeros, so that equal codecs have equal names.
_NAME = re.compile(
    rf"(?P<plain>{'|'.join(_PLAIN)}|{_TOPK}:(?P<fraction>0\.[0-9]{{0,5}}[1-9]))"
    rf"(?:\+(?P<frame>{'|'.join(FRAMES)}))?"
)
# What a device says that can encode everything; "topk" stands for every fraction.
ENCODINGS = tuple(
    kind + frame for kind in (*_PLAIN, _TOPK) for frame in ("", *(f"+{name}" for name in FRAMES))
)


@lru_cache(maxsize=64)
def codec_named(name: str) -> Codec:
    """The codec a name means; raises UnknownCodec."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise UnknownCodec(
            f"no codec {name[:64]!r}; expected {', '.join(_PLAIN)} or {_TOPK}:FRACTION "
            f"with 0 < FRACTION < 1, each alone or with {' or '.join(f'+{one}' for one in FRAMES)}"
        )
    plain, fraction, frame = found["plain"], found["fraction"], found["frame"]
    codec = topk(fraction) if fraction else _PLAIN[plain]
    return framed(codec, FRAMES[frame]) if frame else codec


def agreed(preferred: Iterable[str], offered: Collection[str]) -> str | None:
    """The first preferred codec that a device offers by its name or by its family's."""
    return next((name for name in preferred if name in offered or _family(name) in offered), None)


def _family(name: str) -> str:
    """A name without its fraction: ``topk:0.01+zlib`` is of the family ``topk+zlib``."""
    return re.sub(":[^+]*", "", name)

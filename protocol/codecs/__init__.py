"""Codecs: the encodings in which a delta can travel, each known by its name in a check-in."""

from .codec import Codec
from .registry import ENCODINGS, FLOAT32, agreed, codec_named

__all__ = ["ENCODINGS", "FLOAT32", "Codec", "agreed", "codec_named"]

"""A record is a frozen value that travels as JSON; reading one checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Self

import msgspec

from .errors import MalformedPayload

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}\\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0)]
Metric = Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)]
Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\\Z")]
# What was measured, by name; bounded in number, length and magnitude, so that any sum stays finite.
Metrics = Annotated[dict[Name, Metric], msgspec.Meta(max_length=16)]

_FIELD = re.compile(r" - at `\$\.?(.*)`$")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages. Fields a reader does not know are ignored, so the protocol can grow."""

    def to_json(self) -> bytes:
        """Encodes with sorted keys, so that equal records are equal bytes."""
        return msgspec.json.encode(self, order="sorted")

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Decodes and checks; raises MalformedPayload naming the field that is wrong."""
        try:
            return msgspec.json.decode(raw, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MalformedPayload(_sentence(cls, error)) from error

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> Self:
        """Builds from plain values and checks them as ``from_json`` does."""
        try:
            return msgspec.convert(fields, type=cls)
        except msgspec.ValidationError as error:
            raise MalformedPayload(_sentence(cls, error)) from error


def _sentence(cls: type, error: Exception) -> str:
    text = str(error)
    found = _FIELD.search(text)
    where = f"{cls.__name__}.{found[1]}" if found and found[1] else cls.__name__
    return f"{where}: {_FIELD.sub('', text)}"

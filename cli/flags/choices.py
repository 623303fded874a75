"""Flags of the form KIND:NAME=VALUE,NAME=VALUE: one of several kinds, with its numbers."""

from __future__ import annotations

from typing import get_args

import msgspec

from ...protocol.errors import ConfigError
from ...protocol.plan import Buffering, RoundSettings

_CHOICES = {
    "aggregator": "how the deltas of a round become one update",
    "server_optimizer": "how an update becomes the next checkpoint",
}


def helps() -> dict[str, str]:
    """The help of each such flag: what it decides, and the kinds with their numbers."""
    return {name: f"{text}: {'; '.join(_kinds(name))}" for name, text in _CHOICES.items()}


def default(name: str) -> str:
    """The kind of the round settings' default."""
    field = getattr(RoundSettings(), name)
    return str(field.__struct_config__.tag)


def choice_of(name: str, text: str) -> dict[str, object]:
    """The fields ``text`` gives; which of them exist is for the record to say.

    Raises ConfigError for what is not of the form.
    """
    kind, _, numbers = text.partition(":")
    fields: dict[str, object] = {"kind": kind}
    for word in numbers.split(",") if numbers else ():
        field, _, value = word.partition("=")
        try:
            fields[field] = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            reason = f"expected KIND:NAME=VALUE,NAME=VALUE, got {word!r}; write it as NAME=0.5"
            raise ConfigError(name, text, reason) from error
    return fields


def buffer_of(text: str) -> dict[str, object]:
    """The goal and the buffer that K:NAME=VALUE,… gives; raises ConfigError."""
    numbers = choice_of("buffer", text)
    goal = str(numbers.pop("kind"))
    if not goal.isdecimal():
        raise ConfigError("buffer", text, "expected K or K:concurrency=100, with K updates")
    return {"goal": int(goal), "buffer": numbers}


def buffer_help() -> str:
    """The help of --buffer, with the numbers that may follow."""
    numbers = ", ".join(field.name for field in msgspec.structs.fields(Buffering))
    return f"K:NAME=VALUE,…: every K updates make a version, stale ones count less ({numbers})"


def _kinds(name: str) -> list[str]:
    (field,) = [one for one in msgspec.structs.fields(RoundSettings) if one.name == name]
    return [_usage(kind) for kind in get_args(field.type)]


def _usage(kind: type[msgspec.Struct]) -> str:
    numbers = ", ".join(field.name for field in msgspec.structs.fields(kind))
    return f"{kind.__struct_config__.tag} ({numbers})"

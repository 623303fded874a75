"""Checking values that a person has written: every mistake is a sentence with its place.

``checked`` builds a record or a frozen dataclass from plain values as msgspec would, but does not
stop at the first value that is wrong.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_type_hints

import msgspec

from ..protocol.errors import PocketFedError, first_line

_T = TypeVar("_T")


class Mistakes:
    """What is wrong so far, in the order in which it was found."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def note(self, where: str, what: str) -> None:
        self.sentences.append(f"{where}: {what}")


def checked(kind: type[_T], value: object, *, where: str, mistakes: Mistakes) -> _T | None:
    """The value as a ``kind``, or None when something is wrong with it, which is then noted."""
    fields = section(value, where=where, known=names_of(kind), mistakes=mistakes)
    if fields is None:
        return None
    before = len(mistakes.sentences)
    hints = get_type_hints(kind, include_extras=True)
    given = {
        name: _converted(hints[name], one, where=f"{where}.{name}", mistakes=mistakes)
        for name, one in fields.items()
    }
    for name in sorted(_required(kind) - given.keys()):
        mistakes.note(where, f"{name} is missing")
    if len(mistakes.sentences) > before:
        return None
    try:
        return kind(**given)
    except (ValueError, PocketFedError) as error:
        mistakes.note(where, first_line(error))
        return None


def section(
    value: object, *, where: str, known: Iterable[str], mistakes: Mistakes
) -> dict[str, Any] | None:
    """The value as names with values; a name that is not ``known`` is a mistake."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        mistakes.note(where, f"got {shown(value)}, expected names with values")
        return None
    names = list(known)
    for name in value:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            mistakes.note(where, f"there is no {shown(name)}; {hint}")
    return {name: one for name, one in value.items() if name in names}


def choice(
    kinds: Mapping[str, type[_T]],
    value: object,
    *,
    where: str,
    mistakes: Mistakes,
) -> _T | None:
    """One of several kinds: ``kind: NAME`` with its numbers, or the name alone."""
    fields = {"kind": value} if isinstance(value, str) else value
    if not isinstance(fields, Mapping) or fields.get("kind") not in kinds:
        got = shown(fields.get("kind") if isinstance(fields, Mapping) else value)
        mistakes.note(where, f"got {got}, expected a kind of {', '.join(kinds)}")
        return None
    numbers = {name: one for name, one in fields.items() if name != "kind"}
    return checked(kinds[fields["kind"]], numbers, where=where, mistakes=mistakes)


def names_of(kind: type[object]) -> list[str]:
    """The names of a record's or a dataclass's fields."""
    if issubclass(kind, msgspec.Struct):
        return list(kind.__struct_fields__)
    return [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]


def shown(value: object) -> str:
    """A value as a sentence may hold it."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _converted(hint: Any, value: object, *, where: str, mistakes: Mistakes) -> Any:
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        mistakes.note(where, f"got {shown(value)}: {first_line(error).lower()}")
    except PocketFedError as error:
        mistakes.note(where, first_line(error))
    return None


def _required(kind: type[object]) -> set[str]:
    if issubclass(kind, msgspec.Struct):
        return {field.name for field in msgspec.structs.fields(kind) if field.required}
    missing = dataclasses.MISSING
    return {
        field.name
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.default is missing and field.default_factory is missing
    }

"""The flag that says which baselines run beside a simulation."""

from __future__ import annotations

from typing import get_args

import msgspec
from absl import flags

from ...device_sim.baselines import BaselineKind
from ...protocol.errors import ConfigError
from . import choices
from .groups import Values


def baselines(values: Values) -> None:
    flags.DEFINE_string(
        "baselines",
        None,
        "what to run beside it and compare it with, KIND:NAME=VALUE, separated by commas: "
        f"{usages()}; none if not given",
        flag_values=values,
    )


def usages() -> str:
    """Every kind of baseline with the names of its numbers."""
    return "; ".join(
        f"{kind.__struct_config__.tag} ({', '.join(kind.__struct_fields__)})"
        for kind in get_args(BaselineKind)
    )


def baselines_of(values: Values) -> tuple[BaselineKind, ...]:
    """The baselines by the flag; raises ConfigError."""
    text: str | None = values.baselines
    return () if text is None else tuple(_baseline(text, one) for one in _each(text))


def _each(text: str) -> list[str]:
    """One text for each kind: a word NAME=VALUE belongs to the kind before it."""
    found: list[str] = []
    for word in text.split(","):
        name, _, _ = word.partition("=")
        if found and "=" in word and ":" not in name:
            found[-1] += f",{word}"
        else:
            found.append(word)
    return found


def _baseline(text: str, one: str) -> BaselineKind:
    fields = choices.choice_of("baselines", one)
    try:
        kind: BaselineKind = msgspec.convert(fields, BaselineKind)
        unknown = fields.keys() - {"kind", *kind.__struct_fields__}
        if unknown:
            raise msgspec.ValidationError(f"there is no {min(unknown)!r}")
    except msgspec.ValidationError as error:
        reason = f"{error}; choose of {usages()}"
        raise ConfigError("baselines", text, reason) from error
    return kind

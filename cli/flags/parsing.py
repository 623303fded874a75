"""What every command does with its words and flags before it begins."""

from __future__ import annotations

from pathlib import Path

from .groups import Values


class UsageError(Exception):
    """The words of a command are off; its usage follows."""


def exactly(words: list[str], *names: str) -> list[str]:
    if len(words) != len(names):
        expected = " ".join(names) or "no arguments"
        raise UsageError(f"got {' '.join(words) or 'nothing'}, expected {expected}")
    return words


def required(values: Values, name: str) -> str:
    if values[name].value in (None, ""):
        raise UsageError(f"--{name} is missing")
    return str(values[name].value)


def optional_path(word: str | None) -> Path | None:
    return Path(word) if word else None


class CommandFailed(Exception):
    """A command ran to its end and did not reach what it was to reach."""

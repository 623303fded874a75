"""Flags as a command holds them, and as its help shows them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from absl import flags
from absl import logging as _  # noqa: F401  # defines --verbosity and its kin

from .groups import Group, Values, always

WIDTH = 100
_LOGGING = ("verbosity", "stderrthreshold", "logtostderr", "alsologtostderr", "log_dir")


def holder(groups: Sequence[Group]) -> Values:
    """A fresh holder with these groups, ``always``, and absl's logging flags."""
    values = Values()
    for group in (*groups, always):
        group(values)
    for name in _LOGGING:
        values[name] = flags.FLAGS[name]
        values.register_flag_by_module("absl.logging", values[name])
    values.set_gnu_getopt(True)
    return values


def help_text(groups: Sequence[Group]) -> str:
    """Every flag of the groups, its meaning and its default."""
    values = Values()
    for group in groups:
        group(values)
    width = max((len(name) for name in values), default=0) + 4
    return "\n".join(
        textwrap.fill(
            _meaning(values[name]),
            WIDTH,
            initial_indent=f"  {'--' + name:{width}}",
            subsequent_indent=" " * (width + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name in values
    )


def _meaning(flag: flags.Flag[Any]) -> str:
    if flag.default in (None, ""):
        return flag.help or ""
    default = flag.serialize().partition("=")[2]
    return f"{flag.help} [{default}]"

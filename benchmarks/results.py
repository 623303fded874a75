"""What a benchmark finds: a table for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class Result(msgspec.Struct, frozen=True):
    """One figure; ``samples`` is how many measurements its median is of."""

    name: str
    value: float
    unit: str
    samples: int


def show(results: Sequence[Result], path: str | None) -> None:
    """Prints a table, and writes a list of records to ``path`` if there is one."""
    table = Table("figure", "value", "unit", "samples", box=None, pad_edge=False)
    for result in results:
        table.add_row(result.name, f"{result.value:.3f}", result.unit, str(result.samples))
    Console().print(table)
    if path:
        Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(results)))

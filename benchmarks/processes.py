"""What processes cost: those of a family, by what Linux tells of each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def family(process_ids: Iterable[int]) -> set[int]:
    """Some processes and all that descend from them."""
    known, found = set[int](), set(process_ids)
    while found:
        known |= found
        found = {child for parent in found for child in _children(parent)} - known
    return known


def cpu_s(process_ids: Iterable[int]) -> float:
    """User and system time of processes and of their children that have ended."""
    return sum(_cpu_s(process_id) for process_id in process_ids)


def resident_mib(process_id: int) -> float:
    """The memory of a process now, in MiB."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _children(process_id: int) -> list[int]:
    tasks = Path(f"/proc/{process_id}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _cpu_s(process_id: int) -> float:
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0  # it has ended, and its parent knows its time
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

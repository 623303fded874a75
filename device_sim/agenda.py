"""An agenda: when each phone of a large fleet is due, in order."""

from __future__ import annotations

import heapq
import math

import numpy as np
import numpy.typing as npt

Instants = npt.NDArray[np.float64]
SHARE = 64
FEWEST = 256


class Agenda:
    """One instant per phone; equal instants come in the order of the phones' numbers.

    Instants lie in an array, 8 bytes a phone. Only the soonest, one in ``SHARE``, are sorted, once
    those before them are used up: an event costs the same however many phones there are.
    """

    def __init__(self, due_s: Instants) -> None:
        """Takes over the array, which has the first instant of each phone."""
        self._due_s = due_s
        self._soon: list[tuple[float, int]] = []
        # What is due before this instant is in the heap, and only that.
        self._sorted_until_s = -math.inf

    def put(self, device: int, due_s: float) -> None:
        """Says when a phone that was taken off is due again."""
        if due_s < self._sorted_until_s:
            heapq.heappush(self._soon, (due_s, device))
        else:
            self._due_s[device] = due_s

    def pop(self) -> tuple[float, int] | None:
        """Takes off the phone that is due next, with its instant; None if nobody ever is."""
        if not self._soon and not self._sort_more():
            return None
        return heapq.heappop(self._soon)

    def _sort_more(self) -> bool:
        due_s = self._due_s
        last = min(len(due_s) - 1, max(FEWEST, len(due_s) // SHARE))
        if last < 0:
            return False
        until_s = float(np.nextafter(np.partition(due_s, last)[last], math.inf))
        devices = np.flatnonzero((due_s < until_s) & (due_s < math.inf))
        # A sorted list is a heap.
        self._soon = sorted(zip(due_s[devices].tolist(), devices.tolist(), strict=True))
        self._sorted_until_s = until_s
        due_s[devices] = math.inf
        return bool(self._soon)

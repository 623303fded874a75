"""Models and checkpoints as files, written once, from which worker processes read."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

KEPT = 8


class Published:
    """A folder of bytes by SHA-256; the newest stay, and whatever an unfinished job needs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._present: dict[str, None] = {}
        self._needed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def need(self, bodies: Mapping[str, bytes]) -> None:
        """Writes what is not there yet, and keeps it until ``release``."""
        with self._lock:
            self._needed.update(bodies.keys())
            for name in bodies.keys() - self._present.keys():
                (self._folder / name).write_bytes(bodies[name])
            for name in bodies:
                self._present.pop(name, None)
                self._present[name] = None

    def release(self, names: Iterable[str]) -> None:
        with self._lock:
            self._needed.subtract(names)
            idle = [name for name in self._present if self._needed[name] <= 0]
            for name in idle[: max(0, len(self._present) - KEPT)]:
                del self._present[name], self._needed[name]
                (self._folder / name).unlink()

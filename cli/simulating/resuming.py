"""Resuming: the last safe point of a virtual run, from which a killed run is taken up again.

A point is a folder with the fleet frozen between two steps, a copy of the server's database of the
same moment, and links to its blobs, which never change. The newest is named by one small file that
is replaced at once, so a run that is killed while it saves has the point before.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

DATABASE = "pocketfed.sqlite3"
BLOBS = "blobs"
POINTS = "points"
# A save takes at most this share of the time of a run.
SHARE = 0.02


@dataclass(frozen=True)
class Point:
    """What a run goes on from: the frozen fleet and its clock; ``number`` is the point's own."""

    number: int
    now_s: float
    fleet: bytes


class _Newest(msgspec.Struct, frozen=True):
    number: int
    scenario: str
    now_s: float


class SafePoints:
    """The safe points of one scenario, in a folder of their own beside the server's."""

    def __init__(
        self, folder: Path, *, scenario: object, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder = folder
        self._scenario = hashlib.sha256(repr(scenario).encode()).hexdigest()
        self._timer = timer
        self._number = 0
        self._flushed: set[str] = set()
        self._not_before_s = timer()

    def restore(self, data_dir: Path) -> Point | None:
        """Puts the server's folder back to the newest point of this scenario.

        None when there is none: then both folders are as of a run that has not begun.
        """
        shutil.rmtree(data_dir, ignore_errors=True)
        newest = self._newest()
        if newest is None or newest.scenario != self._scenario:
            self.remove()
            return None
        self._number = newest.number
        place = self._place(newest.number)
        data_dir.mkdir(parents=True)
        shutil.copytree(place / BLOBS, data_dir / BLOBS, copy_function=os.link)
        shutil.copy2(place / DATABASE, data_dir / DATABASE)
        return Point(newest.number, newest.now_s, (place / "fleet").read_bytes())

    def save(self, data_dir: Path, freeze: Callable[[], bytes], *, now_s: float) -> bool:
        """Saves a point, unless the last one took too long to save another so soon."""
        began_s = self._timer()
        if began_s < self._not_before_s:
            return False
        self._write(data_dir, Point(self._number + 1, now_s, freeze()))
        ended_s = self._timer()
        self._not_before_s = ended_s + (ended_s - began_s) / SHARE
        return True

    def remove(self) -> None:
        """Forgets all points: the run is over, or another one begins."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, data_dir: Path, point: Point) -> None:
        place = self._place(point.number)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        with (
            contextlib.closing(sqlite3.connect(data_dir / DATABASE)) as source,
            contextlib.closing(sqlite3.connect(place / DATABASE)) as copy,
        ):
            source.backup(copy)
        shutil.copytree(data_dir / BLOBS, place / BLOBS, copy_function=os.link)
        self._flush_blobs(place / BLOBS)
        (place / "fleet").write_bytes(point.fleet)
        self._name(_Newest(point.number, self._scenario, point.now_s))
        shutil.rmtree(self._place(self._number), ignore_errors=True)
        self._number = point.number

    def _flush_blobs(self, folder: Path) -> None:
        """The server leaves its blobs to the operating system; those of a point must last."""
        names = {entry.name for entry in folder.iterdir()}
        for name in names - self._flushed:
            _make_durable(folder / name)
        _make_durable(folder)
        self._flushed = names

    def _name(self, newest: _Newest) -> None:
        """Makes a point the newest, at once and for good."""
        new = self.folder / "newest.new"
        new.write_bytes(msgspec.json.encode(newest))
        place = self._place(newest.number)
        for path in (place / DATABASE, place / "fleet", place, new):
            _make_durable(path)
        new.replace(self.folder / "newest.json")
        _make_durable(self.folder)

    def _newest(self) -> _Newest | None:
        try:
            return msgspec.json.decode((self.folder / "newest.json").read_bytes(), type=_Newest)
        except FileNotFoundError:
            return None

    def _place(self, number: int) -> Path:
        return self.folder / f"point-{number}"


def _make_durable(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

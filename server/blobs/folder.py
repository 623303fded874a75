"""Blobs in a local folder: a file's name is the SHA-256 of what it holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...protocol.errors import Unavailable
from ..running.folder import fsync_folder
from .arrivals import Arrivals
from .aside import aside
from .contract import ReadBytes, Staged
from .disk import ages, answering_arrival, answering_disk

_NAME = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class FolderReader:
    """Reads the blobs of a folder."""

    folder: Path

    def read(self, sha256: str) -> bytes:
        with answering_disk():
            return (self.folder / sha256).read_bytes()


class FolderBlobs:
    """The folder of blobs; a body arrives in it too, so that its name is one rename away.

    Without ``is_flushed`` a blob is durable only as far as no power cut is meant.
    """

    direct = None

    def __init__(self, folder: Path, *, is_flushed: bool = True) -> None:
        self._folder = folder
        self._is_flushed = is_flushed
        self._arrivals = Arrivals(folder, is_flushed=is_flushed)

    def stage(self, read: ReadBytes, *, length: int) -> AbstractContextManager[Staged]:
        return self._arrivals.stage(read, length=length)

    def prepare(self, staged: Staged) -> None:
        """A rename needs no preparation."""

    def publish(self, staged: Staged) -> None:
        with answering_arrival():
            staged.path.replace(self._folder / staged.sha256)
            if self._is_flushed:
                aside(fsync_folder, self._folder)

    def read(self, sha256: str) -> bytes:
        return self.reader().read(sha256)

    def open(self, sha256: str) -> BinaryIO:
        with answering_disk():
            return (self._folder / sha256).open("rb")

    def link(self, sha256: str) -> str | None:
        """Files are served by this server alone."""
        return None

    def reader(self) -> FolderReader:
        return FolderReader(self._folder)

    def remove(self, *sha256: str) -> None:
        with answering_disk():
            for name in sha256:
                (self._folder / name).unlink(missing_ok=True)

    def names(self, *, older_than_s: float) -> Iterator[str]:
        with answering_disk():
            # Ages leave a trace on the folder; an audit, which wants all names, must not.
            every = ((path, 0.0) for path in self._folder.iterdir())
            for path, age_s in ages(self._folder) if older_than_s else every:
                if _NAME.fullmatch(path.name) and age_s >= older_than_s:
                    yield path.name

    def drop_arrivals(self, *, older_than_s: float) -> None:
        with answering_disk():
            self._arrivals.drop(older_than_s=older_than_s)

    def require_ready(self) -> None:
        if not self._folder.is_dir():
            raise Unavailable(f"the folder {self._folder.name!r} of the server's blobs is gone")

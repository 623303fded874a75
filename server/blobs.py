"""Content-addressed bytes in a local folder: a file's name is the SHA-256 of what it holds.

Bytes arrive in a temporary file under a running SHA-256. ``publish`` gives them their name, and
returns when bytes and name are durable.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..protocol.errors import DigestMismatch, TruncatedBody, Unavailable
from .folder import fsync_folder

CHUNK_BYTES = 256 * 1024
TEMPORARY = "incoming-"

ReadBytes = Callable[[int], bytes]


@dataclass(frozen=True)
class Staged:
    """Bytes that have arrived but have no name yet; on disk and flushed."""

    path: Path
    sha256: str
    bytes: int

    def require(self, sha256: str) -> None:
        """Raises DigestMismatch unless these are the announced bytes."""
        if self.sha256 != sha256:
            raise DigestMismatch(f"the body has SHA-256 {self.sha256}, announced was {sha256}")


class Blobs:
    """The folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def path(self, sha256: str) -> Path:
        return self._folder / sha256

    def read(self, sha256: str) -> bytes:
        return self.path(sha256).read_bytes()

    @contextmanager
    def stage(self, read: ReadBytes, *, length: int) -> Iterator[Staged]:
        """Takes exactly ``length`` bytes; what was not published is gone at the end of the block.

        Raises TruncatedBody when the body ends early, Unavailable when the disk does not take it.
        """
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                digest = hashlib.sha256()
                for chunk in _chunks(read, length):
                    digest.update(chunk)
                    with _disk():
                        file.write(chunk)
                with _disk():
                    file.flush()
                    os.fsync(handle)
            yield Staged(Path(name), digest.hexdigest(), length)
        finally:
            Path(name).unlink(missing_ok=True)

    def publish(self, staged: Staged) -> None:
        """Gives the bytes their name; the same bytes under the same name are harmless."""
        with _disk():
            staged.path.replace(self.path(staged.sha256))
            fsync_folder(self._folder)

    def names(self) -> list[str]:
        """All that is there, bytes that have not arrived whole included."""
        return sorted(path.name for path in self._folder.iterdir())

    def remove(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)

    def sweep(self, needed: frozenset[str]) -> None:
        """Removes all but the needed blobs; only safe while nothing arrives."""
        for path in self._folder.iterdir():
            if path.name not in needed:
                path.unlink()


def _chunks(read: ReadBytes, length: int) -> Iterator[bytes]:
    missing = length
    while missing:
        chunk = read(min(CHUNK_BYTES, missing))
        if not chunk:
            got = length - missing
            raise TruncatedBody(f"got {got} bytes, expected {length}; send the whole body again")
        missing -= len(chunk)
        yield chunk


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "is full" if error.errno == errno.ENOSPC else "failed"
        raise Unavailable(f"the server's disk {reason}; try again later") from error

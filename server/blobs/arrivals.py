"""Bodies that arrive: each in a temporary file under a running SHA-256, until it is checked."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...protocol.errors import TruncatedBody
from .aside import aside
from .contract import ReadBytes, Staged
from .disk import ages, answering_disk, write_all

CHUNK_BYTES = 256 * 1024
TEMPORARY = "incoming-"


class Arrivals:
    """A folder of temporary files; ``is_flushed`` claims that a staged body is on disk."""

    def __init__(self, folder: Path, *, is_flushed: bool) -> None:
        self._folder = folder
        self._is_flushed = is_flushed
        folder.mkdir(exist_ok=True)

    @contextmanager
    def stage(self, read: ReadBytes, *, length: int) -> Iterator[Staged]:
        """Takes exactly ``length`` bytes; the file is gone at the end of the block.

        Raises TruncatedBody when the body ends early, Unavailable when the disk does not take it.
        """
        with answering_disk():
            handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=self._folder)
        try:
            digest = self._receive(handle, read, length)
            yield Staged(Path(name), digest, length)
        finally:
            with suppress(FileNotFoundError), answering_disk():
                os.unlink(name)  # noqa: PTH108  # the name of a temporary file, not a path of ours

    def drop(self, *, older_than_s: float) -> None:
        """Removes what a process that ended has left behind."""
        for path, age_s in ages(self._folder):
            if path.name.startswith(TEMPORARY) and age_s >= older_than_s:
                path.unlink(missing_ok=True)

    def _receive(self, handle: int, read: ReadBytes, length: int) -> str:
        """Returns the digest. The descriptor ends here: after an error it is never used again."""
        digest = hashlib.sha256()
        try:
            for chunk in _chunks(read, length):
                digest.update(chunk)
                with answering_disk():
                    write_all(handle, chunk)
            if self._is_flushed:
                with answering_disk():
                    aside(os.fsync, handle)
        finally:
            with answering_disk():
                os.close(handle)
        return digest.hexdigest()


def _chunks(read: ReadBytes, length: int) -> Iterator[bytes]:
    missing = length
    while missing:
        chunk = read(min(CHUNK_BYTES, missing))
        if not chunk:
            got = length - missing
            raise TruncatedBody(f"got {got} bytes, expected {length}; send the whole body again")
        missing -= len(chunk)
        yield chunk

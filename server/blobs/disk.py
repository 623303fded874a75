"""The local disk under the blobs: its errors, its clock, and bodies that arrive on it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...protocol.errors import Unavailable

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def answering_disk() -> Iterator[None]:
    """Turns an error of the disk into Unavailable; that a file is not there stays what it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "is full" if error.errno in _FULL else "failed"
        raise Unavailable(f"the server's disk {reason}; try again later") from error


@contextmanager
def answering_arrival() -> Iterator[None]:
    """As ``answering_disk``, for a body that has arrived: if it is gone, the sender sends again."""
    try:
        with answering_disk():
            yield
    except FileNotFoundError as error:
        raise Unavailable("the body was swept before it was stored; send it again") from error


def write_all(handle: int, chunk: bytes) -> None:
    """Writes every byte, or raises OSError: a disk that fills up takes a part first."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(handle, rest) :]


def ages(folder: Path) -> Iterator[tuple[Path, float]]:
    """Every file of a folder with its age in seconds.

    Both instants are the file system's own, so neither the server's clock nor a file server's
    matters. Asking for the time takes no room: the disk may be full.
    """
    os.utime(folder)
    now = folder.stat().st_mtime
    for entry in list(os.scandir(folder)):
        try:
            yield Path(entry.path), now - entry.stat().st_mtime
        except FileNotFoundError:
            continue  # removed meanwhile, which is what a sweep is for

"""What a blob store promises: bytes under their SHA-256, durable once they are published.

Bytes arrive (``stage``), are checked by the caller, and get their name (``publish``). A name says
all: to publish the same bytes again is harmless, and heals a damaged blob. A store that cannot take
or give bytes raises Unavailable before anything is acknowledged; bytes that are not there raise
FileNotFoundError.

Whether a blob may go is the database's to say. So ``publish`` and ``remove`` are called within a
transaction that holds the name (``Writing.lock_blob``) until its rows are committed.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from ...protocol.errors import DigestMismatch
from .disk import answering_arrival

Body = bytes
ReadBytes = Callable[[int], Body]


@dataclass(frozen=True)
class Staged:
    """Bytes that have arrived in a local file but have no name yet."""

    path: Path
    sha256: str
    bytes: int

    def require(self, sha256: str) -> None:
        """Raises DigestMismatch unless these are the announced bytes."""
        if self.sha256 != sha256:
            raise DigestMismatch(f"the body has SHA-256 {self.sha256}, announced was {sha256}")

    def read(self) -> memoryview:
        """The bytes as they lie in the file, not copied; they outlive its name."""
        with answering_arrival(), self.path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Where a device may put one body by itself, and with exactly which headers."""

    url: str
    headers: dict[str, str]


class Reader(Protocol):
    """Gives published bytes; it can be pickled, so that another process reads too."""

    def read(self, sha256: str) -> bytes:
        """All bytes of a blob; raises FileNotFoundError."""
        ...


class Direct(Protocol):
    """A store that devices put their bodies into by themselves, each under a name of its own."""

    def offer(self, name: str, *, sha256: str, length: int, expires_s: float) -> Offer:
        """Permits to put exactly the bytes of this length and digest."""
        ...

    def fetch(self, name: str, *, sha256: str, length: int) -> AbstractContextManager[Staged]:
        """Takes what was put as ``Blobs.stage`` takes a body.

        Raises UploadMissing, TruncatedBody, PayloadTooLarge or DigestMismatch.
        """
        ...

    def drop(self, name: str) -> None:
        """Removes what was put; nothing there is harmless."""
        ...


class Blobs(Protocol):
    """A store of blobs."""

    @property
    def direct(self) -> Direct | None:
        """How devices put bodies here by themselves, if they may."""
        ...

    def stage(self, read: ReadBytes, *, length: int) -> AbstractContextManager[Staged]:
        """Takes exactly ``length`` bytes; what was not published is gone at the end of the block.

        Raises TruncatedBody when the body ends early.
        """
        ...

    def prepare(self, staged: Staged) -> None:
        """Does ahead, outside of any transaction, what would make ``publish`` slow."""
        ...

    def publish(self, staged: Staged) -> None:
        """Gives the bytes their name; they are durable when this returns."""
        ...

    def read(self, sha256: str) -> bytes:
        """All bytes of a blob; raises FileNotFoundError."""
        ...

    def open(self, sha256: str) -> BinaryIO:
        """A blob to seek and read in; raises FileNotFoundError."""
        ...

    def link(self, sha256: str) -> str | None:
        """A short-lived address for a blob that needs no token, where there is such a thing."""
        ...

    def reader(self) -> Reader:
        """What another process reads with."""
        ...

    def remove(self, *sha256: str) -> None:
        """Removes blobs; those that are not there are passed over."""
        ...

    def names(self, *, older_than_s: float) -> Iterator[str]:
        """The names of all blobs of this age, by the clock of the storage itself."""
        ...

    def drop_arrivals(self, *, older_than_s: float) -> None:
        """Removes bodies of this age that were neither published nor thrown away."""
        ...

    def require_ready(self) -> None:
        """Raises Unavailable when the store does not answer."""
        ...

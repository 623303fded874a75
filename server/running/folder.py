"""The data folder: who owns it, the operator's token, and where the server can be reached."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ...protocol.errors import ConfigError

LOCK = "lock"
ADMIN_TOKEN = "admin.token"  # noqa: S105  # a file name
ADDRESS = "server.json"


class DataFolder:
    """A folder that one process owns or several share, until they end, however they end."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock
        self._announcer: int | None = None

    @classmethod
    def claim(cls, path: Path, *, is_shared: bool = False) -> DataFolder:
        """Creates the folder if need be and owns it, or shares it with others that share it.

        Raises ConfigError when another server stands against that.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError("data_dir", str(path), f"cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            reason = "another server runs on this folder; stop it or choose another folder"
            raise ConfigError("data_dir", str(path), reason) from error
        # Absolute, so that neither a change of directory nor Flask's own root matters later.
        return cls(path.resolve(), lock)

    @classmethod
    def borrow(cls, path: Path, *, is_shared: bool = False) -> DataFolder:
        """Keeps servers off a folder one has left, to read it; raises ConfigError.

        Servers that shared it with each other do not share it with the reader.
        """
        try:
            lock = os.open(path / LOCK, os.O_RDONLY)
        except OSError as error:
            reason = f"no server has left a folder here: {error.strerror}"
            raise ConfigError("data_dir", str(path), reason) from error
        try:
            fcntl.flock(lock, (fcntl.LOCK_EX if is_shared else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            reason = "a server runs on this folder; stop it, or look at a copy"
            raise ConfigError("data_dir", str(path), reason) from error
        return cls(path.resolve(), lock)

    def release(self) -> None:
        os.close(self._lock)

    def admin_token(self, entropy: Callable[[int], bytes]) -> str:
        """The operator's token, made the first time and kept readable for its owner only."""
        path = self.path / ADMIN_TOKEN
        if not path.exists():
            _create_whole(path, entropy(32).hex() + "\n")
        return path.read_text("ascii").strip()

    def announce(self, url: str) -> None:
        """Writes where this server can be reached."""
        self._announcer = os.getpid()
        text = json.dumps({"url": url, "pid": self._announcer}) + "\n"
        write_atomically(self.path / ADDRESS, text, mode=0o644)

    def withdraw(self) -> None:
        """Removes the address of a server that stops; a process forked from it has none."""
        if self._announcer == os.getpid():
            (self.path / ADDRESS).unlink(missing_ok=True)


def write_atomically(path: Path, text: str, *, mode: int) -> None:
    """A reader sees the old file or the whole new one, also after a power cut."""
    temporary = path.with_name(path.name + ".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(handle, "w", encoding="ascii") as file:  # noqa: PTH123  # a descriptor
        file.write(text)
        file.flush()
        os.fsync(handle)
    temporary.replace(path)
    fsync_folder(path.parent)


def _create_whole(path: Path, text: str) -> None:
    """Of several processes that create a file, one does, and no reader sees half of it."""
    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    with open(handle, "w", encoding="ascii") as file:  # noqa: PTH123  # a descriptor
        file.write(text)
        file.flush()
        os.fsync(handle)
    with suppress(FileExistsError):
        os.link(name, path)
    Path(name).unlink()
    fsync_folder(path.parent)


def fsync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

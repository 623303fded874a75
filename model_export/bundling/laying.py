"""Laying an artifact into the assets of an app, whole or not at all."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...protocol import wire
from ...protocol.artifact import CHECKPOINT, MANIFEST, MODEL, Artifact
from ...protocol.errors import DamagedArtifact, ExportError
from ..converting.artifact import staged
from .fitness import require_fit

# Where the Android library looks for artifacts among the assets, each in a folder of its name.
FOLDER = "pocketfed"
LICENCE = "LICENSE"
MODEL_LICENCE = "LICENSE.model"
SUMS = "SHA256SUMS"
SHIPPED = (MODEL, CHECKPOINT)


@dataclass(frozen=True)
class Laid:
    """An artifact among an app's assets: where, its bytes, whether it lay there already."""

    folder: Path
    bytes: int
    is_new: bool


def lay(
    artifact: Artifact, *, assets: Path, licence: Path | None = None, replace: bool = False
) -> Laid:
    """Lays what a phone needs of ``artifact`` into ``assets/pocketfed/NAME``.

    ``licence`` is the text under which the model itself is shipped. Golden vectors and the graph
    stay out. Laying the same again changes nothing; another artifact of that name is only replaced
    with ``replace``. Raises ExportError, and leaves what was there.
    """
    require_fit(artifact)
    folder = assets / FOLDER / artifact.manifest.name
    files = _files(artifact, licence)
    size = sum(map(len, files.values()))
    if _holds(folder, files):
        return Laid(folder, size, is_new=False)
    if folder.exists() and not replace:
        raise ExportError(
            f"{folder} holds something else; give --replace to have it replaced, or another --out"
        )
    with staged(folder) as new:
        for name, body in files.items():
            (new / name).write_bytes(body)
    return Laid(folder, size, is_new=True)


def _files(artifact: Artifact, licence: Path | None) -> dict[str, bytes]:
    files = {MANIFEST: _manifest(artifact)}
    files |= {name: artifact.bytes_of(name) for name in SHIPPED}
    files[LICENCE] = (importlib.resources.files(__name__.split(".")[0]) / LICENCE).read_bytes()
    if licence is not None:
        files[MODEL_LICENCE] = licence.read_bytes()
    return files | {SUMS: _sums(files)}


def _manifest(artifact: Artifact) -> bytes:
    """As it was exported: the server hands out the same bytes, and a phone knows them by digest."""
    body = (artifact.folder / MANIFEST).read_bytes()
    if type(artifact.manifest).from_json(body) != artifact.manifest:
        raise DamagedArtifact(f"{artifact.folder} changed while it was read; begin again")
    return body


def _sums(files: Mapping[str, bytes]) -> bytes:
    """What ``sha256sum --check`` reads."""
    return "".join(f"{wire.sha256(files[name])}  {name}\n" for name in sorted(files)).encode()


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether ``folder`` holds these files and no others."""
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != set(files):
        return False
    return all((folder / name).read_bytes() == body for name, body in files.items())

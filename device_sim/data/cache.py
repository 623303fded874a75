"""The cache: files that came over the network once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ...protocol.errors import DataError


def default_cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """``$POCKETFED_CACHE``, or ``~/.cache/pocketfed``."""
    given = environ.get("POCKETFED_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "pocketfed"


def write(path: Path, raw: bytes) -> None:
    """Puts a file into the cache in one step, so that no reader ever sees half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise DataError(
            f"{path.parent} cannot be written ({error.strerror}); "
            "set POCKETFED_CACHE to a folder that can"
        ) from error

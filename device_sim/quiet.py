"""Silence: LiteRT writes a greeting to the terminal's error stream from C++, once per process."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_STDERR = 2
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Swallows what this process writes to its error stream meanwhile; exceptions still travel."""
    with _ONE_AT_A_TIME, Path(os.devnull).open("wb") as sink:
        sys.stderr.flush()
        kept = os.dup(_STDERR)
        os.dup2(sink.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)

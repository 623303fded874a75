"""Silence: TensorFlow and LiteRT write to the terminal's error stream from C++."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

STDERR = 2
_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Swallows what this process writes to its error stream meanwhile; exceptions still travel.

    It redirects the file descriptor, hence other threads are silent too: keep the block short.
    """
    with _ONE_AT_A_TIME, Path(os.devnull).open("wb") as sink, _no_warnings():
        sys.stderr.flush()
        kept = os.dup(STDERR)
        os.dup2(sink.fileno(), STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, STDERR)
            os.close(kept)


def silence_the_exit() -> None:
    """Swallows what is written to the error stream after Python's own last words.

    For C++ that takes itself down when the process ends; tracebacks are printed before.
    """
    atexit.register(_mute)


def _mute() -> None:
    sys.stderr.flush()
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, STDERR)
    os.close(sink)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

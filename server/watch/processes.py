"""Several processes that count as one: each writes its counts to files that any of them sums."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Worker(Protocol):
    """A worker of gunicorn."""

    pid: int


def share_metrics(folder: Path) -> None:
    """Makes this process and its children count together in ``folder``, from nothing.

    For the launcher of several workers, before any of them makes its application.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ[VARIABLE] = str(folder)


def child_exit(server: object, worker: Worker) -> None:
    """gunicorn's hook of this name: what a worker counted stays, what it was does not."""
    if VARIABLE in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]

"""The audit: what a stopped server has left is read and every invariant held against it.

Nothing is written, to the folder or to the database; while the audit reads, no server can start on
the folder.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ..blobs import open_blobs
from ..config import Config
from ..folding.workers import LocalWorkers
from ..running.folder import DataFolder
from ..running.ground import DATABASE
from ..store import Reading, read_file, read_postgresql
from .invariants import INVARIANTS, Evidence, Invariant


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One invariant, on how many things it was tried, and each that breaks it."""

    invariant: Invariant
    count: int
    violations: tuple[str, ...]


def audit(config: Config) -> list[Finding]:
    """Tries every invariant on ``config.data_dir`` and its database.

    Raises ConfigError when a server runs on the folder, or it is not one that a server has left.
    """
    folder = DataFolder.borrow(config.data_dir, is_shared=config.is_scaled)
    try:
        with _reading(config, folder) as view:
            evidence = Evidence(
                view=view,
                blobs=open_blobs(config.blobs, folder=folder.path, presigns=False),
                workers=LocalWorkers(count=len(os.sched_getaffinity(0))),
                keep_updates_s=config.keep_updates_s,
            )
            return [_try(one, evidence) for one in INVARIANTS]
    finally:
        folder.release()


def _reading(config: Config, folder: DataFolder) -> AbstractContextManager[Reading]:
    if config.is_scaled:
        return read_postgresql(config.database)
    return read_file(folder.path / DATABASE)


def _try(invariant: Invariant, evidence: Evidence) -> Finding:
    verdicts = list(invariant.verdicts(evidence))
    violations = tuple(verdict for verdict in verdicts if verdict is not None)
    return Finding(invariant=invariant, count=len(verdicts), violations=violations)

"""The audit: a stopped server's data folder is read and every invariant held against it.

Nothing is written to the folder; while the audit reads, no server can start on it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from .blobs import open_blobs
from .config import Config
from .folder import DataFolder
from .invariants import INVARIANTS, Evidence, Invariant
from .store import read_only
from .workers import LocalWorkers


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One invariant, on how many things it was tried, and each that breaks it."""

    invariant: Invariant
    count: int
    violations: tuple[str, ...]


def audit(config: Config) -> list[Finding]:
    """Tries every invariant on ``config.data_dir``.

    Raises ConfigError when a server runs on the folder, or it is not one that a server has left.
    """
    folder = DataFolder.borrow(config.data_dir)
    try:
        with read_only(folder.path / "pocketfed.sqlite3") as view:
            evidence = Evidence(
                view=view,
                blobs=open_blobs(config.blobs, folder=folder.path, presigns=False),
                workers=LocalWorkers(count=len(os.sched_getaffinity(0))),
                keep_updates_s=config.keep_updates_s,
            )
            return [_try(one, evidence) for one in INVARIANTS]
    finally:
        folder.release()


def _try(invariant: Invariant, evidence: Evidence) -> Finding:
    verdicts = list(invariant.verdicts(evidence))
    violations = tuple(verdict for verdict in verdicts if verdict is not None)
    return Finding(invariant=invariant, count=len(verdicts), violations=violations)

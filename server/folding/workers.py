"""Who folds: threads of this process, or tasks of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ...protocol.errors import ConfigError, LostBlob

FOLDS = ("local", "ray")

Share = TypeVar("Share")
Part = TypeVar("Part")
# (folder for temporary files, share) -> what comes of the share
Work = Callable[[Path | None, Share], Part]


class Workers(Protocol):
    """``count`` workers that each take a share of some work."""

    @property
    def count(self) -> int: ...

    def map(self, work: Work[Share, Part], shares: Sequence[Share]) -> list[Part]:
        """What comes of each share, in their order; an error of any of them is raised."""
        ...


@dataclass(frozen=True, kw_only=True)
class LocalWorkers:
    """Threads: reading, hashing and NumPy leave the interpreter to each other."""

    count: int
    scratch: Path | None = None

    def map(self, work: Work[Share, Part], shares: Sequence[Share]) -> list[Part]:
        if len(shares) == 1:
            return [work(self.scratch, shares[0])]
        with ThreadPoolExecutor(self.count) as pool:
            return list(pool.map(partial(work, self.scratch), shares))


@dataclass(frozen=True, kw_only=True)
class RayWorkers:
    """Tasks of a Ray cluster, one a processor; they read the blobs and write to their own disks.

    ``ray`` is the library. ``RAY_ADDRESS`` says where the cluster is; without it one is started on
    this machine, and ends with this process.
    """

    ray: Any
    count: int

    @classmethod
    def join(cls) -> RayWorkers:
        """Connects to the cluster; raises ConfigError when Ray is not installed."""
        try:
            import ray
        except ImportError as error:
            reason = "Ray is not installed; install pocketfed[ray]"
            raise ConfigError("fold", "ray", reason) from error
        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
        return cls(ray=ray, count=max(1, int(ray.cluster_resources().get("CPU", 1))))

    def map(self, work: Work[Share, Part], shares: Sequence[Share]) -> list[Part]:
        # What went wrong in a task is raised as it was, not wrapped into Ray's own error.
        remote = self.ray.remote(_outcome)
        shared = self.ray.put(work)
        outcomes = self.ray.get([remote.remote(shared, share) for share in shares])
        for _, error in outcomes:
            if error is not None:
                raise error
        return [part for part, _ in outcomes]


def workers_of(kind: str, *, scratch: Path) -> Workers:
    """The workers the setting ``fold`` names; raises ConfigError when they cannot be had."""
    if kind == "ray":
        return RayWorkers.join()
    return LocalWorkers(count=len(os.sched_getaffinity(0)), scratch=scratch)


def _outcome(work: Work[Share, Part], share: Share) -> tuple[Part | None, LostBlob | None]:
    try:
        return work(None, share), None
    except LostBlob as error:
        return None, error

"""Workers that are actors of a Ray cluster, which live as long as the run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np

from ...protocol.errors import ConfigError
from ..ownership import Ownership
from ..training.trainers import LiteRTTrainer, NewTrainer
from .bench import Bench
from .jobs import Done, Job
from .queueing import LongestFirst, Outcome, outcome_of

KEPT = 8


class RayActors:
    """``count`` actors, one a processor of the cluster if not given.

    ``RAY_ADDRESS`` says where the cluster is; without it one is started on this machine, and ends
    when these workers do. Raises ConfigError when Ray is not installed.
    """

    def __init__(
        self,
        ownership: Ownership,
        new_trainer: NewTrainer = LiteRTTrainer,
        *,
        count: int | None = None,
    ) -> None:
        self._station = (ownership, new_trainer)
        self._count = count
        self._ray: Any = None
        self._actors: list[Any] = []
        self._is_ours = False
        self._bodies: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._ray = ray = _library()
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
        count = self._count or max(1, int(ray.cluster_resources().get("CPU", 1)))
        station = ray.put(self._station)
        kind = ray.remote(num_cpus=1)(_Actor)
        self._actors = [kind.remote(station) for _ in range(count)]
        # Each actor twice: its next job lies ready when it is done.
        places = [partial(self._hand_to, actor) for actor in self._actors * 2]
        self._queue = LongestFirst(places[::-1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.drop_waiting()
        self._bodies.clear()
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
        if self._is_ours:
            self._ray.shutdown()

    def submit(self, job: Job, bodies: Mapping[str, bytes]) -> Future[Done]:
        for name, body in bodies.items():
            shared = self._bodies.pop(name, None)
            if shared is None:
                # As an array, which actors on the same machine read where it lies.
                shared = self._ray.put(np.frombuffer(body, np.uint8))
            self._bodies[name] = shared
        while len(self._bodies) > KEPT:
            del self._bodies[next(iter(self._bodies))]
        return self._queue.submit(job, {name: self._bodies[name] for name in bodies})

    def _hand_to(self, actor: Any, job: Job, bodies: Mapping[str, Any]) -> Future[Outcome]:
        answer: Future[Outcome] = actor.do.remote(job, [*bodies], *bodies.values()).future()
        return answer


class _Actor:
    """A process of the cluster."""

    def __init__(self, station: tuple[Ownership, NewTrainer]) -> None:
        self._bench = Bench(*station)

    def do(self, job: Job, names: list[str], *bodies: Any) -> Outcome:
        found = dict(zip(names, bodies, strict=True))
        return outcome_of(self._bench, job, lambda name: found[name].tobytes())


def _library() -> Any:
    try:
        import ray
    except ImportError as error:
        reason = "Ray is not installed; install pocketfed[ray]"
        raise ConfigError("workers", "ray", reason) from error
    return ray

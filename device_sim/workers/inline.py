"""Workers that are the callers themselves: a job is done by the thread that hands it out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from ...protocol.errors import PocketFedError
from ..ownership import Ownership
from ..training.trainers import LiteRTTrainer, NewTrainer
from .bench import Bench
from .jobs import Done, Job


class Inline:
    """Trains in this process; safe to use from several threads."""

    def __init__(self, ownership: Ownership, new_trainer: NewTrainer = LiteRTTrainer) -> None:
        self._bench = Bench(ownership, new_trainer)

    def submit(self, job: Job, bodies: Mapping[str, bytes]) -> Future[Done]:
        done: Future[Done] = Future()
        try:
            done.set_result(self._bench.do(job, bodies.__getitem__))
        except PocketFedError as error:
            done.set_exception(error)
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

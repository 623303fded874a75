"""Workers that are processes of this machine, one thread each, started once and kept."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from ..ownership import Ownership
from ..training.trainers import LiteRTTrainer, NewTrainer
from .bench import Bench
from .jobs import Done, Job
from .published import Published
from .queueing import LongestFirst, Outcome, outcome_of

# What keeps the libraries under NumPy and TensorFlow to one thread; read when they are loaded.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Processes:
    """``count`` processes, one a core if not given. Ownership and trainer must be picklable.

    They are spawned, not forked, for neither TensorFlow nor LiteRT outlives a fork.
    """

    def __init__(
        self,
        ownership: Ownership,
        new_trainer: NewTrainer = LiteRTTrainer,
        *,
        count: int | None = None,
    ) -> None:
        self._count = count or len(os.sched_getaffinity(0))
        self._station = (ownership, new_trainer)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pocketfed-")))
            self._published = Published(folder)
            self._pool = stack.enter_context(
                ProcessPoolExecutor(
                    self._count,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_Station.open,
                    initargs=(*self._station, folder),
                )
            )
            # One more place than processes: the next job lies ready when a process is done.
            self._queue = LongestFirst([self._hand_over] * (self._count + 1))
            stack.callback(self._queue.drop_waiting)
            with _one_thread_each():
                self._pool.submit(_nothing)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    def submit(self, job: Job, bodies: Mapping[str, bytes]) -> Future[Done]:
        self._published.need(bodies)
        names = tuple(bodies)
        done = self._queue.submit(job, {})
        done.add_done_callback(lambda _: self._published.release(names))
        return done

    def _hand_over(self, job: Job, _: Mapping[str, bytes]) -> Future[Outcome]:
        return self._pool.submit(_Station.do, job)


class _Station:
    """What a worker process has: its bench, and the folder it reads from."""

    bench: ClassVar[Bench]
    folder: ClassVar[Path]

    @classmethod
    def open(cls, ownership: Ownership, new_trainer: NewTrainer, folder: Path) -> None:
        cls.bench, cls.folder = Bench(ownership, new_trainer), folder
        # An interrupt is for the process that hands out the work.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with_the_parent, daemon=True).start()

    @classmethod
    def do(cls, job: Job) -> Outcome:
        return outcome_of(cls.bench, job, lambda name: (cls.folder / name).read_bytes())


def _end_with_the_parent() -> None:
    """A parent that was killed says nothing; its workers must not stay behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _nothing() -> None:
    """A first job, with which the pool starts its processes."""


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started meanwhile compute with one thread."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

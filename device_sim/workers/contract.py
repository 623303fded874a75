"""What a fleet asks of those who train for its phones."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Protocol, Self

from .jobs import Done, Job


class Workers(Protocol):
    """Does jobs; a context manager that lets go of its processes when left."""

    def submit(self, job: Job, bodies: Mapping[str, bytes]) -> Future[Done]:
        """Hands a job out, with the bytes that it names by SHA-256.

        The future raises the phone's own error (DamagedArtifact, ConfigError, DataError,
        SpecMismatch, UnknownCodec, NonFiniteDelta, ImplausibleReport), or WorkerLost.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

"""The choice of workers: a number of processes, this process alone, or a Ray cluster."""

from __future__ import annotations

import os

from ...protocol.errors import ConfigError
from ..ownership import Ownership
from ..training.trainers import LiteRTTrainer, NewTrainer
from .contract import Workers
from .inline import Inline
from .processes import Processes
from .ray_actors import RayActors

RAY = "ray"


def workers_of(
    choice: str | None, owned: Ownership, new_trainer: NewTrainer = LiteRTTrainer
) -> Workers:
    """Workers, not yet entered: so many processes, or actors for "ray"; 0 is this process alone.

    None is one process a core. Raises ConfigError for anything else.
    """
    if choice == RAY:
        return RayActors(owned, new_trainer)
    count = count_of(choice)
    return Processes(owned, new_trainer, count=count) if count else Inline(owned, new_trainer)


def count_of(choice: str | None) -> int:
    """How many workers of this machine a choice means; raises ConfigError."""
    if choice is None:
        return len(os.sched_getaffinity(0))
    if not (choice.isascii() and choice.isdigit()):
        raise ConfigError("workers", choice, f"expected a number of processes, or {RAY}")
    return int(choice)

"""A coordinator of its own: a process without HTTP that moves a shared database's rounds on."""

from __future__ import annotations

import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from ...protocol.errors import ConfigError
from ..config import Config
from ..coordination.coordinator import Coordinator
from ..coordination.ticking import tick_until
from ..watch import log_to
from .ground import stand_on


def coordinate(
    config: Config,
    *,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> None:
    """Ticks until SIGTERM or SIGINT; call it from the main thread. Any number may run.

    Raises ConfigError on SQLite, where the server has its own, and Unavailable when the database
    fails at the start.
    """
    if not config.is_scaled:
        reason = "a coordinator of its own needs PostgreSQL; `pocketfed serve` has one on SQLite"
        raise ConfigError("database", config.database, reason)
    log_to(sys.stderr, log_format=config.log_format, log_level=config.log_level)
    with ExitStack() as resources:
        ground = stand_on(config, clock=clock, entropy=entropy, resources=resources)
        stopping = threading.Event()
        _stop_on_signals(stopping, ground.coordinator)
        sys.stdout.write("pocketfed coordinator\n")
        sys.stdout.flush()
        tick_until(stopping, ground.coordinator, tick_s=config.tick_s, clock=clock)


def _stop_on_signals(stopping: threading.Event, coordinator: Coordinator) -> None:
    def stop(number: int, frame: object) -> None:
        stopping.set()
        coordinator.wake.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

"""The beat that moves rounds on: a tick, and the next one when it is due or asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from absl import logging

from .coordinator import Coordinator


def tick_until(
    stopping: threading.Event,
    coordinator: Coordinator,
    *,
    tick_s: float,
    clock: Callable[[], float],
) -> None:
    """Ticks until ``stopping`` is set; setting ``coordinator.wake`` too ends the wait at once."""
    while not stopping.is_set():
        try:
            coordinator.tick(clock())
        except Exception:  # the rim: a failing tick is tried again, not the end of all rounds
            logging.exception("the coordinator failed; it goes on at its next tick")
        coordinator.wake.wait(tick_s)
        coordinator.wake.clear()


@contextmanager
def ticking(
    coordinator: Coordinator, *, tick_s: float, clock: Callable[[], float], grace_s: float
) -> Iterator[None]:
    """Ticks in a thread while the block runs."""
    stopping = threading.Event()
    thread = threading.Thread(
        target=tick_until,
        args=(stopping, coordinator),
        kwargs={"tick_s": tick_s, "clock": clock},
        name="coordinator",
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        coordinator.wake.set()
        thread.join(grace_s)

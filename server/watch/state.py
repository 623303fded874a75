"""What is so is read from the database when it is asked for: right whichever process answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ...protocol.admin import RoundPhase, TaskStatus
from ...protocol.errors import Unavailable
from ...protocol.messages import AssignmentState
from ...protocol.plan import RoundKind
from ..states.rounds import Round
from ..store import Census, Store
from ..taking_part.pacing import DAY_S


class State(Collector):
    """The census of a server's database, and the free space of its data folder."""

    def __init__(self, store: Store, *, folder: Path, clock: Callable[[], float]) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """A database that does not answer is itself worth knowing; the rest is then left out."""
        free = shutil.disk_usage(self._folder).free
        yield GaugeMetricFamily(
            "pocketfed_disk_free_bytes", "Free space of the data folder's disk.", value=free
        )
        try:
            with self._store.read() as view:
                census = view.census(since=self._clock() - DAY_S)
        except Unavailable:
            yield _up(0)
            return
        yield _up(1)
        yield from _devices(census)
        yield from _tasks(census)
        yield from _rounds(census)


def _up(value: int) -> Metric:
    return GaugeMetricFamily("pocketfed_database_up", "Whether the database answers.", value=value)


def _devices(census: Census) -> Iterator[Metric]:
    yield GaugeMetricFamily("pocketfed_devices", "Devices enrolled.", value=census.devices)
    yield GaugeMetricFamily(
        "pocketfed_placed_devices",
        "Devices that had a place in a round opened within the last 24 hours.",
        value=census.placed_devices,
    )


def _tasks(census: Census) -> Iterator[Metric]:
    status = GaugeMetricFamily(
        "pocketfed_task_status", "1 for the status a task has.", labels=["task", "status"]
    )
    for task, held in census.statuses.items():
        for one in TaskStatus:
            status.add_metric([task, one], float(one == held))
    yield status
    version = GaugeMetricFamily(
        "pocketfed_checkpoint_version", "Newest checkpoint of a task.", labels=["task"]
    )
    for task, newest in census.versions.items():
        version.add_metric([task], newest)
    yield version


def _rounds(census: Census) -> Iterator[Metric]:
    phases = GaugeMetricFamily(
        "pocketfed_rounds", "Attempts at rounds by phase.", labels=["task", "kind", "phase"]
    )
    states = GaugeMetricFamily(
        "pocketfed_places",
        "Places of the rounds under way by state.",
        labels=["task", "kind", "state"],
    )
    for task, kind in product(census.versions, RoundKind):
        for phase in RoundPhase:
            phases.add_metric([task, kind, phase], census.rounds.get((task, kind, phase), 0))
        for state in AssignmentState:
            states.add_metric([task, kind, state], census.places.get((task, kind, state), 0))
    yield phases
    yield states
    yield from _current(census.current)


def _current(current: Sequence[tuple[str, Round]]) -> Iterator[Metric]:
    """A task has at most one round of each kind under way."""
    accepted = _of_rounds("pocketfed_round_accepted", "Reports the round under way has.")
    goal = _of_rounds("pocketfed_round_goal", "Reports the round under way waits for.")
    opened = _of_rounds(
        "pocketfed_round_opened_timestamp_seconds", "When the round under way was opened."
    )
    for task, round_ in current:
        labels = [task, round_.kind]
        accepted.add_metric(labels, round_.accepted)
        goal.add_metric(labels, round_.goal)
        opened.add_metric(labels, round_.opened_at)
    yield from (accepted, goal, opened)


def _of_rounds(name: str, help_: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_, labels=["task", "kind"])

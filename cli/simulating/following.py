"""Following a simulation: what is looked at while it runs, and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ...client import AdminClient
from ...device_sim.following.live_table import LiveTable
from ...device_sim.following.monitor import Monitor, RoundRow
from ...device_sim.following.tallies import Tallies
from ...protocol.admin import TaskStatus
from .scenario import Scenario
from .setting import Setting
from .watching import Hopes, Lookout

# Whether what has been measured so far is enough.
Enough: TypeAlias = Callable[[Sequence[RoundRow]], bool]


@dataclass(frozen=True)
class Looks:
    """Looks at a task on a virtual clock, when there may be something new."""

    monitor: Monitor
    table: LiveTable
    lookout: Lookout
    clock: Callable[[], float]

    def find(self) -> bool:
        """Puts new checkpoints into the table, if there may be some; whether there were any."""
        return self.lookout.has_news(self.clock()) and self._shows()

    def until(
        self, is_over: Callable[[], bool], *, on_news: Callable[[], None]
    ) -> Callable[[], bool]:
        """``is_over`` after a look; ``on_news`` where that saw news and the run goes on."""

        def looked_and_is_over() -> bool:
            if self.find() and not is_over():
                on_news()
            return is_over()

        return looked_and_is_over

    def go_on(self) -> None:
        """The look after which a point was saved, without which later ones came at other times."""
        self.lookout.has_news(self.clock())
        self._shows()

    def _shows(self) -> bool:
        rows = self.monitor.poll()
        for row in rows:
            self.table.add(row)
        return bool(rows)


def table_of(scenario: Scenario) -> LiveTable:
    """The run as it happens, on the terminal."""
    return LiveTable(rounds=scenario.settings.rounds, target=scenario.target)


def monitor_of(setting: Setting, *, admin: AdminClient, tallies: Tallies) -> Monitor:
    """Follows the scenario's task with the phones' own trainer."""
    return Monitor(
        history=lambda: admin.history(setting.scenario.task),
        fetch=admin.download,
        tally=tallies.of,
        standing=tallies.standing_at,
        trainer=setting.new_trainer(),
        test=setting.dataset.test,
        spec=setting.artifact.manifest.weight_spec,
        every=setting.scenario.measure_every,
    )


def never(_: Sequence[RoundRow]) -> bool:
    """Nothing that was measured is enough."""
    return False


def stop_rule(
    scenario: Scenario,
    monitor: Monitor,
    hopes: Hopes,
    *,
    clock: Callable[[], float],
    began_s: float = 0.0,
    is_enough: Enough = never,
) -> Callable[[], bool]:
    """Says whether the run is over: its task has ended, its target or its time is reached.

    Or what has been measured is enough.
    """
    ends_s = began_s + scenario.limit_s

    def is_over() -> bool:
        has_ended = monitor.status in (TaskStatus.STOPPED, TaskStatus.FINISHED)
        has_time = clock() < ends_s
        is_known = has_reached(scenario.target, monitor) or is_enough(monitor.rows)
        return has_ended or hopes.are_gone or not has_time or is_known

    return is_over


def has_reached(target: float | None, monitor: Monitor) -> bool:
    """Whether a checkpoint was as accurate as the target."""
    return target is not None and any(row.accuracy >= target for row in monitor.rows)

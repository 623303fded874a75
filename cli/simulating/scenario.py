"""A scenario: all that makes a simulation what it is."""

from __future__ import annotations

from dataclasses import dataclass

from ...device_sim.baselines import BaselineKind
from ...device_sim.conditions import Conditions
from ...device_sim.data.sharing import Partition
from ...device_sim.fleet import FleetSettings
from ...device_sim.tff import MEAN
from ...protocol.plan import Plan, RetryWindow, RoundSettings
from .trainers import LITERT

# In a simulation time costs nothing: a fixed window keeps runs comparable.
ROUNDS = RoundSettings(goal=10, retry=RetryWindow(min_s=60.0, max_s=300.0))


@dataclass(frozen=True)
class Scenario:
    """What is simulated: a task, the phones and what they own, and when to stop.

    Without ``partition`` it is the usual one of the data set; without ``phones`` there are 100, or
    one for each of its natural owners. The run ends when ``target`` accuracy is reached, the task
    has committed ``settings.rounds`` rounds, or ``limit_s`` seconds of the fleet's clock have
    passed. One of ``measure_every`` checkpoints is measured. ``trainer`` is one of
    ``cli.trainers``; with that of TFF ``tff_aggregator`` is one of ``device_sim.tff``.
    ``workers`` train, see ``workers_of``; with a server over HTTP they are
    threads of this process. ``baselines`` run after it.
    """

    task: str
    population: str
    plan: Plan
    settings: RoundSettings
    phones: int | None
    conditions: Conditions
    seed: int
    target: float | None
    limit_s: float
    partition: Partition | None = None
    arrive_within_s: float = 1.0
    measure_every: int = 1
    trainer: str = LITERT
    tff_aggregator: str = MEAN
    workers: str | None = "0"
    baselines: tuple[BaselineKind, ...] = ()

    @property
    def fleet(self) -> FleetSettings:
        return FleetSettings(
            population=self.population,
            seed=self.seed,
            conditions=self.conditions,
            arrive_within_s=self.arrive_within_s,
        )

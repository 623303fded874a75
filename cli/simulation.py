"""A simulation put together: data and its owners, a server, a fleet, a monitor, a report.

``live`` runs phones on the real clock against a server over HTTP; ``virtual`` runs them against the
same Flask app in this process, on a clock that the seed reproduces.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np

from ..client import AdminClient, Session
from ..device_sim.conditions import Conditions
from ..device_sim.data.dataset import Dataset
from ..device_sim.data.sharing import Partition, summarise, usual
from ..device_sim.equality import disagreement_raised
from ..device_sim.fleet import FleetSettings, LiveFleet, VirtualClock, VirtualFleet
from ..device_sim.live_table import LiveTable
from ..device_sim.monitor import Monitor
from ..device_sim.ownership import Ownership
from ..device_sim.report import RunFacts, Summary, summarise_run, write_report
from ..device_sim.sessions import SessionOutcome, SessionRecord, Tallies
from ..device_sim.trainers import Trainer
from ..protocol.admin import TaskStatus
from ..protocol.artifact import Artifact
from ..protocol.errors import ConfigError
from ..protocol.plan import Plan, RoundKind, RoundSettings
from .trainers import LITERT, facts_of, trainers_of

IN_PROCESS = "http://pocketfed.invalid"
HOPELESS = 50


@dataclass(frozen=True)
class Scenario:
    """What is simulated: a task, the phones and what they own, and when to stop.

    Without ``partition`` it is the usual one of the data set; without ``phones`` there are 100, or
    one for each of its natural owners. The run ends when ``target`` accuracy is reached, the task
    has committed ``settings.rounds`` rounds, or ``limit_s`` seconds of the fleet's clock have
    passed. ``trainer`` is one of ``cli.trainers``.
    """

    task: str
    population: str
    plan: Plan
    settings: RoundSettings
    phones: int | None
    drop_out: float
    seed: int
    target: float | None
    limit_s: float
    partition: Partition | None = None
    trainer: str = LITERT

    @property
    def fleet(self) -> FleetSettings:
        return FleetSettings(
            population=self.population,
            seed=self.seed,
            conditions=Conditions(drop_out=self.drop_out),
        )


class Hopes:
    """Counts sessions that fail in a row; a run of nothing else cannot reach its goal."""

    def __init__(self) -> None:
        self._failures = 0
        self._detail = ""

    def note(self, record: SessionRecord) -> None:
        if self.are_gone or record.kind is not RoundKind.TRAIN:
            return
        if record.outcome in (SessionOutcome.FAILED, SessionOutcome.REFUSED):
            self._failures += 1
            self._detail = record.detail
        elif record.outcome is SessionOutcome.ACCEPTED:
            self._failures = 0

    @property
    def are_gone(self) -> bool:
        return self._failures >= HOPELESS

    def require(self, task: str) -> None:
        """Raises ConfigError with the reason of the last failure once hope is gone."""
        if self.are_gone:
            reason = f"{self._failures} sessions in a row failed, the last because {self._detail}"
            raise ConfigError("task", task, reason)


@disagreement_raised()
def live(
    scenario: Scenario,
    *,
    artifact: Artifact,
    dataset: Dataset,
    server: str,
    admin_token: str,
    out: Path,
) -> Summary:
    """Runs a scenario against the server at a URL and writes its report to ``out``."""
    scenario, owned, details = _with_owners(scenario, dataset)
    trainers, hopes = trainers_of(scenario.trainer, artifact), Hopes()
    with Session(server) as session:
        admin = _with_task(scenario, artifact, AdminClient(session, token=admin_token))
        fleet = LiveFleet(
            scenario.fleet,
            owned=owned,
            session=session,
            new_trainer=trainers,
            observe=hopes.note,
        )
        trainer = trainers(artifact.model, artifact.manifest)
        monitor = _monitor(scenario, trainer, artifact, dataset, admin=admin, tallies=fleet.tallies)
        is_over = _stop_rule(scenario, monitor, hopes, clock=time.monotonic)
        began = time.monotonic()
        with fleet, _table(scenario) as table:
            for row in monitor.follow(until=lambda: not fleet.is_running or is_over()):
                table.add(row)
                if _has_reached(scenario.target, monitor):
                    break
        seconds = time.monotonic() - began
    hopes.require(scenario.task)
    facts = (details, *facts_of(trainers))
    return _report(scenario, monitor, fleet.tallies, facts, seconds=seconds, out=out)


@disagreement_raised()
def virtual(scenario: Scenario, *, artifact: Artifact, dataset: Dataset, out: Path) -> Summary:
    """Runs a scenario in this process on a virtual clock; the same seed gives the same bytes.

    The server's folder is ``out/server``, made anew.
    """
    data_dir = out / "server"
    shutil.rmtree(data_dir, ignore_errors=True)
    clock = VirtualClock()
    token = "operator"  # noqa: S105  # never leaves the process
    scenario, owned, details = _with_owners(scenario, dataset)
    trainers, hopes = trainers_of(scenario.trainer, artifact), Hopes()
    with (
        _app(data_dir, token, clock, seed=scenario.seed) as transport,
        Session(IN_PROCESS, transport=transport) as session,
    ):
        admin = _with_task(scenario, artifact, AdminClient(session, token=token))
        fleet = VirtualFleet(
            scenario.fleet,
            owned=owned,
            session=session,
            clock=clock,
            new_trainer=trainers,
            observe=hopes.note,
        )
        trainer = trainers(artifact.model, artifact.manifest)
        monitor = _monitor(scenario, trainer, artifact, dataset, admin=admin, tallies=fleet.tallies)
        is_over = _stop_rule(scenario, monitor, hopes, clock=clock.now)
        with _table(scenario) as table:

            def until() -> bool:
                for row in monitor.poll():
                    table.add(row)
                return is_over()

            fleet.run(until=until)
    hopes.require(scenario.task)
    facts = (details, *facts_of(trainers))
    return _report(scenario, monitor, fleet.tallies, facts, seconds=clock.now(), out=out)


def _table(scenario: Scenario) -> LiveTable:
    return LiveTable(rounds=scenario.settings.rounds, target=scenario.target)


@contextlib.contextmanager
def _app(
    data_dir: Path, token: str, clock: VirtualClock, *, seed: int
) -> Iterator[httpx.WSGITransport]:
    from ..server import create_app
    from ..server.app import EXTENSION
    from ..server.config import Config

    config = Config(
        data_dir=data_dir,
        coordinator="inline",
        admin_token=token,
        keep_updates_s=0.0,
        check_ins_per_h=0.0,
    )
    draws = np.random.default_rng(seed)
    app = create_app(config, clock=clock.now, entropy=draws.bytes)
    try:
        yield httpx.WSGITransport(app=app)
    finally:
        app.extensions[EXTENSION].close()


def _with_task(scenario: Scenario, artifact: Artifact, admin: AdminClient) -> AdminClient:
    admin.create_task(
        scenario.task,
        artifact=artifact,
        population=scenario.population,
        plan=scenario.plan,
        settings=scenario.settings,
    )
    return admin


def _with_owners(
    scenario: Scenario, dataset: Dataset
) -> tuple[Scenario, Ownership, tuple[str, str]]:
    """The scenario with its number of phones, what each owns, and a line for the reader."""
    partition = scenario.partition or usual(dataset)
    owned = partition.share(dataset, phones=scenario.phones, seed=scenario.seed)
    line = f"{dataset.name}, {partition.__struct_config__.tag}: {summarise(owned)}"
    return replace(scenario, phones=owned.phones), owned, ("Examples per phone", line)


def _monitor(
    scenario: Scenario,
    trainer: Trainer,
    artifact: Artifact,
    dataset: Dataset,
    *,
    admin: AdminClient,
    tallies: Tallies,
) -> Monitor:
    return Monitor(
        history=lambda: admin.history(scenario.task),
        fetch=admin.download,
        tally=tallies.of,
        trainer=trainer,
        test=dataset.test,
        spec=artifact.manifest.weight_spec,
    )


def _stop_rule(
    scenario: Scenario, monitor: Monitor, hopes: Hopes, *, clock: Callable[[], float]
) -> Callable[[], bool]:
    ends_s = clock() + scenario.limit_s

    def is_over() -> bool:
        has_ended = monitor.status in (TaskStatus.STOPPED, TaskStatus.FINISHED)
        has_time = clock() < ends_s
        return has_ended or hopes.are_gone or not has_time or _has_reached(scenario.target, monitor)

    return is_over


def _has_reached(target: float | None, monitor: Monitor) -> bool:
    return target is not None and any(row.accuracy >= target for row in monitor.rows)


def _report(
    scenario: Scenario,
    monitor: Monitor,
    tallies: Tallies,
    details: tuple[tuple[str, str], ...],
    *,
    seconds: float,
    out: Path,
) -> Summary:
    facts = RunFacts(
        title=f"{scenario.task}: {scenario.phones} phones",
        phones=scenario.phones or 0,
        seed=scenario.seed,
        seconds=seconds,
        bytes_up=tallies.bytes_up,
        bytes_down=tallies.bytes_down,
        target=scenario.target,
        details=(*details, ("Codecs, the best first", ", ".join(scenario.settings.codecs))),
    )
    rows = monitor.settled()
    write_report(out, rows=rows, facts=facts)
    return summarise_run(rows, facts)

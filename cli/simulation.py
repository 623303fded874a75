"""A simulation put together: data and its owners, a server, a fleet, a monitor, a report.

``live`` runs phones on the real clock against a server over HTTP; ``virtual`` runs them against the
same Flask app in this process, on a clock that the seed reproduces.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import __version__
from ..client import AdminClient, Session
from ..device_sim.data.dataset import Dataset
from ..device_sim.data.sharing import summarise, usual
from ..device_sim.encoding import Debts
from ..device_sim.equality import disagreement_raised
from ..device_sim.fleet import LiveFleet, Observer, VirtualClock, VirtualFleet
from ..device_sim.live_table import LiveTable
from ..device_sim.monitor import Monitor
from ..device_sim.ownership import Ownership
from ..device_sim.report import RunFacts, Summary, summarise_run, write_report
from ..device_sim.sessions import Tallies
from ..device_sim.trainers import Trainer
from ..device_sim.workers import count_of, workers_of
from ..protocol.admin import TaskStatus
from ..protocol.artifact import Artifact
from .resuming import Point, SafePoints
from .scenario import Scenario
from .trainers import facts_of, trainers_of
from .watching import Hopes, Lookout, each, ignored

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

IN_PROCESS = "http://pocketfed.invalid"


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
            workers=count_of(scenario.workers),
            new_trainer=trainers,
            observe=hopes.note,
        )
        trainer = trainers(artifact.model, artifact.manifest)
        monitor = _monitor(scenario, trainer, artifact, dataset, admin=admin, tallies=fleet.tallies)
        began = time.monotonic()
        is_over = _stop_rule(scenario, monitor, hopes, clock=time.monotonic, began_s=began)
        with fleet, _table(scenario) as table:
            for row in monitor.follow(until=lambda: not fleet.is_running or is_over()):
                table.add(row)
                if _has_reached(scenario.target, monitor):
                    break
        seconds = time.monotonic() - began
    hopes.require(scenario.task)
    facts = (details, *facts_of(trainers, fleet.tallies))
    return _report(scenario, monitor, fleet.tallies, facts, seconds=seconds, out=out)


@disagreement_raised()
def virtual(
    scenario: Scenario,
    *,
    artifact: Artifact,
    dataset: Dataset,
    out: Path,
    observe: Observer = ignored,
) -> Summary:
    """Runs a scenario in this process on a virtual clock; the same seed gives the same bytes.

    The server's folder is ``out/server``, made anew, unless a run of the same scenario was killed
    there: then it goes on from the last safe point in ``out/points``, and ends as it would have.
    ``observe`` is told every session as it ends.
    """
    data_dir, identity = out / "server", _identity(scenario, artifact, dataset)
    points = SafePoints(out / "points", scenario=identity)
    point = points.restore(data_dir)
    clock = VirtualClock(0.0 if point is None else point.now_s)
    token = "operator"  # noqa: S105  # never leaves the process
    scenario, owned, details = _with_owners(scenario, dataset)
    trainers, hopes = trainers_of(scenario.trainer, artifact), Hopes()
    with (
        _app(data_dir, token, clock, draws=_draws(scenario, point)) as app,
        Session(IN_PROCESS, app=app) as session,
        workers_of(scenario.workers, owned, trainers) as workers,
    ):
        admin = _with_task(scenario, artifact, AdminClient(session, token=token))
        lookout = Lookout(admin.tasks, task=scenario.task, goal=scenario.settings.goal)
        fleet = VirtualFleet(
            scenario.fleet,
            owned=owned,
            session=session,
            clock=clock,
            workers=workers,
            observe=each(hopes.note, lookout.note, observe),
            debts=Debts(points.folder / "owed"),
        )
        if point is not None:
            fleet.thaw(point.fleet)
        trainer = trainers(artifact.model, artifact.manifest)
        monitor = _monitor(scenario, trainer, artifact, dataset, admin=admin, tallies=fleet.tallies)
        is_over = _stop_rule(scenario, monitor, hopes, clock=clock.now, began_s=0.0)
        save = partial(_save, points, data_dir, fleet, clock)
        with _table(scenario) as table:
            has_rows = partial(_shows, monitor, table)
            fleet.run(until=_ending(clock, lookout, has_rows, save, is_over))
    points.remove()
    hopes.require(scenario.task)
    facts = (details, *facts_of(trainers, fleet.tallies))
    return _report(scenario, monitor, fleet.tallies, facts, seconds=clock.now(), out=out)


def _ending(
    clock: VirtualClock,
    lookout: Lookout,
    has_rows: Callable[[], bool],
    save: Callable[[], None],
    is_over: Callable[[], bool],
) -> Callable[[], bool]:
    """Whether a run is over; on the way it shows what is new, and saves a point then."""

    def until() -> bool:
        if lookout.has_news(clock.now()) and has_rows():
            save()
        return is_over()

    return until


def _save(points: SafePoints, data_dir: Path, fleet: VirtualFleet, clock: VirtualClock) -> None:
    if points.save(data_dir, fleet.freeze, now_s=clock.now()):
        fleet.forget_paid()


def _shows(monitor: Monitor, table: LiveTable) -> bool:
    """Puts new checkpoints into the table; whether there were any."""
    rows = monitor.poll()
    for row in rows:
        table.add(row)
    return bool(rows)


def _table(scenario: Scenario) -> LiveTable:
    return LiveTable(rounds=scenario.settings.rounds, target=scenario.target)


@contextlib.contextmanager
def _app(
    data_dir: Path, token: str, clock: VirtualClock, *, draws: np.random.Generator
) -> Iterator[WSGIApplication]:
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
    # A run that is killed goes on from a safe point, never from this folder.
    app = create_app(config, clock=clock.now, entropy=draws.bytes, is_flushed=False)
    try:
        yield app.wsgi_app
    finally:
        app.extensions[EXTENSION].close()


def _identity(scenario: Scenario, artifact: Artifact, dataset: Dataset) -> tuple[object, ...]:
    """What must be equal for a run to go on; who trains changes nothing."""
    files = sorted((name, entry.sha256) for name, entry in artifact.manifest.files.items())
    return __version__, replace(scenario, workers=None), dataset.name, dataset.origin, files


def _draws(scenario: Scenario, point: Point | None) -> np.random.Generator:
    """What the server's ids and tokens come from; never those again that a killed run has used."""
    return np.random.default_rng(scenario.seed if point is None else [scenario.seed, point.number])


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
        every=scenario.measure_every,
    )


def _stop_rule(
    scenario: Scenario,
    monitor: Monitor,
    hopes: Hopes,
    *,
    clock: Callable[[], float],
    began_s: float,
) -> Callable[[], bool]:
    ends_s = began_s + scenario.limit_s

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

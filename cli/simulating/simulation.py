"""A simulation put together: data and its owners, a server, a fleet, a monitor, a report.

``live`` runs phones on the real clock against a server over HTTP; ``virtual`` runs them against the
same Flask app in this process, on a clock that the seed reproduces.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ... import __version__
from ...client import AdminClient, Session
from ...device_sim.data.dataset import Dataset
from ...device_sim.fleet import LiveFleet, Observer, VirtualClock, VirtualFleet
from ...device_sim.phones.encoding import Debts
from ...device_sim.report import Summary
from ...device_sim.training.equality import disagreement_raised
from ...device_sim.workers import count_of, workers_of
from ...protocol.artifact import Artifact
from ...protocol.errors import ConfigError
from .baselines import baselines_of, require
from .following import Enough, Looks, has_reached, monitor_of, never, stop_rule, table_of
from .reporting import Ran, report
from .resuming import POINTS, Point, SafePoints
from .scenario import Scenario
from .setting import Setting, Wrap
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
    """Runs a scenario against the server at a URL and writes its report to ``out``.

    Raises ConfigError for a scenario with baselines, which need the virtual clock.
    """
    if scenario.baselines:
        reason = "they run on the virtual clock; leave them out, or run with --transport=wsgi"
        raise ConfigError("baselines", "with --transport=http", reason)
    setting, hopes = Setting.of(scenario, artifact=artifact, dataset=dataset), Hopes()
    with Session(server) as session:
        admin = _with_task(scenario, artifact, AdminClient(session, token=admin_token))
        fleet = LiveFleet(
            scenario.fleet,
            owned=setting.owned,
            session=session,
            workers=count_of(scenario.workers),
            new_trainer=setting.trainers,
            observe=hopes.note,
        )
        monitor = monitor_of(setting, admin=admin, tallies=fleet.tallies)
        began = time.monotonic()
        is_over = stop_rule(scenario, monitor, hopes, clock=time.monotonic, began_s=began)
        with fleet, table_of(scenario) as table:
            for row in monitor.follow(until=lambda: not fleet.is_running or is_over()):
                table.add(row)
                if has_reached(scenario.target, monitor):
                    break
        seconds = time.monotonic() - began
    hopes.require(scenario.task)
    return report(Ran(setting, fleet.tallies, monitor.settled(), seconds), out=out)


@disagreement_raised()
def virtual(
    scenario: Scenario,
    *,
    artifact: Artifact,
    dataset: Dataset,
    out: Path,
    wrapped: Wrap = lambda trainers: trainers,
    observe: Observer = ignored,
    is_enough: Enough = never,
) -> Summary:
    """Runs a scenario in this process on a virtual clock; the same seed gives the same bytes.

    The server's folder is ``out/server``, made anew, unless a run of the same scenario was killed
    there: then it goes on from the last safe point in ``out/points``, and ends as it would have.
    Its report is written before the baselines run, and once more with them. ``observe`` is told
    every session as it ends, but for those of baselines. ``wrapped`` is put around the trainer of
    the phones, as ``FullBatchTrainers`` are; a run that goes on must have the same. ``is_enough``
    may end the run before its target, by what has been measured.
    """
    require(scenario, artifact)
    ran = _run(
        scenario,
        artifact=artifact,
        dataset=dataset,
        out=out,
        wrapped=wrapped,
        observe=observe,
        is_enough=is_enough,
    )
    summary = report(ran, out=out)
    if scenario.baselines:
        beside = out / "baselines"
        found = baselines_of(ran, out=beside, rerun=_run)
        summary = report(ran, out=out, baselines=found)
        shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(out / POINTS, ignore_errors=True)
    return summary


def _run(
    scenario: Scenario,
    *,
    artifact: Artifact,
    dataset: Dataset,
    out: Path,
    wrapped: Wrap = lambda trainers: trainers,
    observe: Observer = ignored,
    is_enough: Enough = never,
) -> Ran:
    """One fleet from its beginning, or its last safe point, to its end."""
    data_dir = out / "server"
    points = SafePoints(out / POINTS, scenario=_identity(scenario, artifact, dataset))
    point = points.restore(data_dir)
    clock = VirtualClock(0.0 if point is None else point.now_s)
    token = "operator"  # noqa: S105  # never leaves the process
    setting = Setting.of(scenario, artifact=artifact, dataset=dataset, wrapped=wrapped)
    hopes = Hopes()
    with (
        _app(data_dir, token, clock, draws=_draws(scenario, point)) as app,
        Session(IN_PROCESS, app=app) as session,
        workers_of(scenario.workers, setting.owned, setting.trainers) as workers,
    ):
        admin = _with_task(scenario, artifact, AdminClient(session, token=token))
        lookout = Lookout(admin.tasks, task=scenario.task, goal=scenario.settings.goal)
        fleet = VirtualFleet(
            scenario.fleet,
            owned=setting.owned,
            session=session,
            clock=clock,
            workers=workers,
            observe=each(hopes.note, lookout.note, observe),
            debts=Debts(points.folder / "owed"),
        )
        if point is not None:
            fleet.thaw(point.fleet)
        monitor = monitor_of(setting, admin=admin, tallies=fleet.tallies)
        is_over = stop_rule(scenario, monitor, hopes, clock=clock.now, is_enough=is_enough)
        with table_of(scenario) as table:
            looks = Looks(monitor, table, lookout, clock.now)
            if point is not None:
                looks.go_on()

            def save() -> None:
                if points.save(data_dir, fleet.freeze, now_s=clock.now()):
                    fleet.forget_paid()

            fleet.run(until=looks.until(is_over, on_news=save))
    hopes.require(scenario.task)
    return Ran(setting, fleet.tallies, monitor.settled(), clock.now(), setting.tier_of)


@contextlib.contextmanager
def _app(
    data_dir: Path, token: str, clock: VirtualClock, *, draws: np.random.Generator
) -> Iterator[WSGIApplication]:
    from ...server import create_app
    from ...server.app import EXTENSION
    from ...server.config import Config

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
    """What must be equal for a run to go on: not who trains, nor what is trained after it."""
    files = sorted((name, entry.sha256) for name, entry in artifact.manifest.files.items())
    alone = replace(scenario, workers=None, baselines=())
    return __version__, alone, dataset.name, dataset.origin, files


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

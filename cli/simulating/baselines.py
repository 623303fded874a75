"""Baselines beside a simulation: each is trained after it, and told as a curve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Protocol

import msgspec

from ...device_sim.baselines import (
    BaselineKind,
    Centralised,
    FedSgd,
    FullBatchTrainers,
    OnDevice,
    pooled,
    train_alone,
    train_centralised,
)
from ...device_sim.baselines.full_batch import require_plain
from ...device_sim.baselines.kinds import NAMES, kind_of
from ...device_sim.data.dataset import Dataset
from ...device_sim.report.baselines import Baseline, BaselinePoint, Spread, baseline_of
from ...device_sim.workers import workers_of
from ...protocol.artifact import Artifact
from ...protocol.plan import Plan
from .reporting import Ran
from .scenario import Scenario
from .setting import Wrap


class Rerun(Protocol):
    """Runs another scenario on the virtual clock, in a folder of its own."""

    def __call__(
        self,
        scenario: Scenario,
        *,
        artifact: Artifact,
        dataset: Dataset,
        out: Path,
        wrapped: Wrap,
    ) -> Ran: ...


def require(scenario: Scenario, artifact: Artifact) -> None:
    """Raises ConfigError, before anything runs, for a baseline that this model cannot have."""
    if any(isinstance(one, FedSgd) for one in scenario.baselines):
        require_plain(artifact.manifest)


def baselines_of(ran: Ran, *, out: Path, rerun: Rerun) -> tuple[Baseline, ...]:
    """Runs the baselines of a scenario, one after the other; ``out`` keeps what they leave."""
    return tuple(_each(ran, out=out, rerun=rerun))


def _each(ran: Ran, *, out: Path, rerun: Rerun) -> Iterator[Baseline]:
    for kind in ran.setting.scenario.baselines:
        print(f"\nBaseline {NAMES[type(kind)]} ...")
        match kind:
            case FedSgd():
                yield _fedsgd(kind, ran, out=out, rerun=rerun)
            case Centralised():
                yield _centralised(kind, ran)
            case OnDevice():
                yield _on_device(kind, ran)


def _fedsgd(kind: FedSgd, ran: Ran, *, out: Path, rerun: Rerun) -> Baseline:
    scenario, artifact = ran.setting.scenario, ran.setting.artifact
    plan = msgspec.structs.replace(
        scenario.plan,
        epochs=1,
        batch_size=artifact.manifest.batch_size,
        learning_rate=_rate(kind, scenario),
    )
    settings = msgspec.structs.replace(
        scenario.settings, rounds=kind.rounds or scenario.settings.rounds
    )
    other = rerun(
        replace(scenario, plan=plan, settings=settings, baselines=()),
        artifact=artifact,
        dataset=ran.setting.dataset,
        out=out / "fedsgd",
        wrapped=FullBatchTrainers,
    )
    examples = 0
    points = []
    for row in other.rows:
        examples += row.num_examples
        now = row.standing
        points.append(
            BaselinePoint(
                round=row.round,
                accuracy=row.accuracy,
                loss=row.loss,
                examples=examples,
                seconds=row.seconds,
                bytes_up=now.bytes_up,
                bytes_down=now.bytes_down,
            )
        )
    note = f"the same fleet and seed, E = 1, B = ∞, learning rate {plan.learning_rate:g}"
    return _told(points, kind, ran, note=note)


def _centralised(kind: Centralised, ran: Ran) -> Baseline:
    scenario, artifact = ran.setting.scenario, ran.setting.artifact
    plan = _plan(kind, scenario)
    pool = pooled(ran.setting.owned, seed=scenario.seed)
    points = train_centralised(
        ran.setting.new_trainer(),
        artifact.checkpoint,
        pool,
        test=ran.setting.dataset.test,
        plan=plan,
        budget=_budget(ran),
        seed=scenario.seed,
    )
    note = (
        f"SGD on {len(pool):,} pooled examples, B = {plan.batch_size}, learning rate "
        f"{plan.learning_rate:g}; beside each round as many examples as its phones trained on"
    )
    return _told(list(points), kind, ran, note=note)


def _on_device(kind: OnDevice, ran: Ran) -> Baseline:
    scenario, artifact = ran.setting.scenario, ran.setting.artifact
    plan = msgspec.structs.replace(_plan(kind, scenario), epochs=kind.epochs)
    with workers_of(scenario.workers, ran.setting.owned, ran.setting.trainers) as workers:
        reached = train_alone(
            workers,
            ran.setting.new_trainer(),
            artifact,
            ran.setting.owned,
            test=ran.setting.dataset.test,
            plan=plan,
            phones=kind.phones,
            seed=scenario.seed,
        )
    accuracies = [one.measured.accuracy for one in reached]
    mean = BaselinePoint(
        round=ran.rows[-1].round,
        accuracy=fmean(accuracies),
        loss=fmean(one.measured.loss for one in reached),
        examples=plan.epochs * sum(one.num_examples for one in reached),
    )
    note = (
        f"mean ± standard deviation of {len(reached)} phones, {plan.epochs} passes over their own "
        f"examples, learning rate {plan.learning_rate:g}"
    )
    told = _told([mean], kind, ran, note=note)
    spread = Spread(
        phones=len(reached),
        deviation=pstdev(accuracies),
        least=min(accuracies),
        most=max(accuracies),
    )
    return msgspec.structs.replace(told, spread=spread, best_accuracy=spread.most)


def _told(points: list[BaselinePoint], kind: BaselineKind, ran: Ran, *, note: str) -> Baseline:
    return baseline_of(
        points,
        kind=kind_of(kind),
        name=NAMES[type(kind)],
        note=note,
        learning_rate=_rate(kind, ran.setting.scenario),
        target=None if isinstance(kind, OnDevice) else ran.setting.scenario.target,
    )


def _budget(ran: Ran) -> list[tuple[int, int]]:
    """For each round the examples that were trained on until then, each pass counted."""
    budget, trained = [], 0
    for row in ran.rows:
        trained += row.num_examples * ran.setting.scenario.plan.epochs
        budget.append((row.round, trained))
    return budget


def _plan(kind: BaselineKind, scenario: Scenario) -> Plan:
    return msgspec.structs.replace(scenario.plan, learning_rate=_rate(kind, scenario))


def _rate(kind: BaselineKind, scenario: Scenario) -> float:
    return scenario.plan.learning_rate if kind.learning_rate is None else kind.learning_rate

"""The report of a simulation: what was run, what came of it, and the baselines beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import yaml  # type: ignore[import-untyped]

from ...device_sim.conditions.traces import Traced
from ...device_sim.following.monitor import RoundRow
from ...device_sim.following.tallies import Tallies
from ...device_sim.report import Baseline, RunFacts, Summary, summarise_run, write_report
from ...protocol import wire
from ...protocol.artifact import MANIFEST
from .scenario import Scenario
from .setting import Setting
from .trainers import TFF, facts_of


@dataclass(frozen=True)
class Ran:
    """A simulation that has ended, after so many ``seconds`` of the fleet's clock.

    ``tier_of`` says the class of speed of a phone, where phones have one.
    """

    setting: Setting
    tallies: Tallies
    rows: list[RoundRow]
    seconds: float
    tier_of: Callable[[int], str] = lambda _: ""

    def facts(self, baselines: tuple[Baseline, ...] = ()) -> RunFacts:
        """What the report says beside the rounds."""
        scenario = self.setting.scenario
        return RunFacts(
            title=f"{scenario.task}: {scenario.phones:,} phones",
            phones=scenario.phones or 0,
            seed=scenario.seed,
            seconds=self.seconds,
            tallies=self.tallies,
            target=scenario.target,
            details=self._details(),
            baselines=baselines,
            owned=self.setting.owned,
            tier_of=self.tier_of,
            scenario=text_of(scenario),
            say=print if len(baselines) == len(scenario.baselines) else _silently,
        )

    def _details(self) -> tuple[tuple[str, str], ...]:
        scenario, artifact = self.setting.scenario, self.setting.artifact
        plan, settings = scenario.plan, scenario.settings
        local = f"E = {plan.epochs}, B = {plan.batch_size}, learning rate {plan.learning_rate:g}"
        goal = f"{settings.goal} reports, {settings.places} places"
        manifest = wire.sha256((artifact.folder / MANIFEST).read_bytes())
        return (
            ("Local training", local),
            ("A round", goal),
            ("Trainer", _trainer(scenario)),
            ("Codecs, the best first", ", ".join(settings.codecs)),
            self.setting.shared_out,
            *facts_of(self.setting.trainers, self.tallies),
            (f"Artifact {artifact.manifest.name}, SHA-256 of its manifest", manifest),
            ("Model, SHA-256", wire.sha256(artifact.model)),
        )


def _trainer(scenario: Scenario) -> str:
    if scenario.trainer != TFF:
        return scenario.trainer
    return f"TensorFlow Federated makes the rounds; its aggregator: {scenario.tff_aggregator}"


def _silently(_: str) -> None:
    """Says nothing: the report will be written again."""


def report(ran: Ran, *, out: Path, baselines: tuple[Baseline, ...] = ()) -> Summary:
    """Writes the report into ``out``; raises DataError when no checkpoint was evaluated.

    What could not be written is printed once all baselines are there.
    """
    facts = ran.facts(baselines)
    write_report(out, rows=ran.rows, facts=facts)
    return summarise_run(ran.rows, facts)


def text_of(scenario: Scenario) -> str:
    """All that makes the run what it is, as YAML; of a trace only how many phones it has."""
    conditions = scenario.conditions
    there: object = conditions.availability
    if isinstance(there, Traced):
        there = f"a trace of {len(there.phones):,} phones"
        scenario = replace(scenario, conditions=replace(conditions, availability=there))  # type: ignore[arg-type]
    plain = msgspec.to_builtins(
        {field.name: getattr(scenario, field.name) for field in dataclasses.fields(scenario)},
        enc_hook=repr,
    )
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))

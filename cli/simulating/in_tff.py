"""A simulation whose rounds TensorFlow Federated makes: no server, no protocol, no phone's ways.

Who owns what, who takes part, the batches and the report are as in any other; docs/tff.md.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from ...device_sim.data.dataset import Dataset
from ...device_sim.following.monitor import RoundRow
from ...device_sim.following.tallies import Tallies
from ...device_sim.phones.sessions import SessionOutcome, SessionRecord
from ...device_sim.report import Summary
from ...device_sim.streams import Purpose, stream
from ...device_sim.tff import TffJob, interpreter, made, make_rounds, measured
from ...protocol import wire
from ...protocol.artifact import Artifact
from ...protocol.errors import ConfigError
from ...protocol.plan import RoundSettings
from ...protocol.weights import Weights
from .reporting import Ran, report
from .scenario import Scenario
from .setting import Setting

# What only a server or a device could do.
_LEFT_OUT = ("buffer", "evaluation", "max_update_norm", "codecs")


def in_tff(
    scenario: Scenario, *, artifact: Artifact, dataset: Dataset, out: Path, transport: str
) -> Summary:
    """Has TFF make the rounds of a scenario and writes its report to ``out``.

    Raises ConfigError for what TFF cannot do or has not got, ExportError for a model that cannot be
    described to it, and WorkerLost when it fails or takes longer than the scenario's limit.
    """
    from ...model_export.reading.layers import described_zoo

    _require(scenario, transport)
    interpreter()
    setting = Setting.of(_without_spares(scenario), artifact=artifact, dataset=dataset)
    job = TffJob(
        artifact=artifact,
        model=described_zoo(artifact.manifest.name),
        plan=scenario.plan,
        settings=scenario.settings,
        owned=setting.owned,
        seed=scenario.seed,
        cohorts=_cohorts(setting),
        aggregator=scenario.tff_aggregator,
    )
    folder = out / "tff"
    shutil.rmtree(folder, ignore_errors=True)
    job.write(folder)
    print(f"TensorFlow Federated makes {len(job.cohorts)} rounds ...")
    began = time.monotonic()
    make_rounds([folder], log=out / "tff.log", limit_s=scenario.limit_s)
    seconds, tallies = time.monotonic() - began, Tallies()
    rows = list(_rows(job, folder, setting, tallies))
    return report(Ran(setting, tallies, rows, seconds), out=out)


def _require(scenario: Scenario, transport: str) -> None:
    settings, usual = scenario.settings, RoundSettings()
    if transport != "wsgi":
        raise ConfigError("transport", transport, "TFF makes rounds without a server; leave it out")
    if settings.rounds is None:
        raise ConfigError("rounds", None, "TFF is told beforehand how many to make; say so")
    if scenario.baselines:
        raise ConfigError("baselines", "with trainer=tff", "run them beside another trainer")
    for name in _LEFT_OUT:
        if getattr(settings, name) != getattr(usual, name):
            reason = "there is neither a server nor a protocol where TFF makes the rounds"
            raise ConfigError(name, getattr(settings, name), f"{reason}; leave it out")


def _without_spares(scenario: Scenario) -> Scenario:
    """The scenario with as many places as reports: none is late here."""
    settings = msgspec.structs.replace(scenario.settings, over_selection=1.0)
    return replace(scenario, settings=settings)


def _cohorts(setting: Setting) -> list[list[int]]:
    """``goal`` phones for each round, drawn without replacement; raises ConfigError."""
    scenario, phones = setting.scenario, setting.owned.phones
    goal = scenario.settings.goal
    if goal > phones:
        raise ConfigError("goal", goal, f"there are {phones} phones; expected at most as many")
    return [
        stream(scenario.seed, Purpose.COHORT, number).choice(phones, goal, replace=False).tolist()
        for number in range(1, (scenario.settings.rounds or 0) + 1)
    ]


def _rows(job: TffJob, folder: Path, setting: Setting, tallies: Tallies) -> Iterator[RoundRow]:
    """The untrained model, then every round, each of which counts its phones."""
    trainer, test, every = (
        setting.new_trainer(),
        setting.dataset.test,
        setting.scenario.measure_every,
    )
    told = measured(folder)
    spec = job.artifact.manifest.weight_spec
    for number in range(len(job.cohorts) + 1):
        counts = _counted(job, number, tallies) if number else []
        if number % every:
            continue
        weights = made(folder, number, spec) if number else job.artifact.checkpoint
        result = trainer.evaluate(weights, test)
        yield RoundRow(
            round=number,
            attempt=min(number, 1),
            accuracy=result.accuracy,
            loss=result.loss,
            train_loss=told[number - 1]["client_work"]["train"]["loss"] if number else None,
            accepted=len(counts),
            num_examples=sum(counts),
            late=0,
            dropped=0,
            bytes_up=0,
            bytes_down=0,
            seconds=0.0,
            checkpoint=_sha256(weights),
            newcomers=tallies.of(number, 1).newcomers,
            standing=tallies.standing(),
        )


def _counted(job: TffJob, number: int, tallies: Tallies) -> list[int]:
    """How many examples each phone of a round trains on, noted in the tallies."""
    counts = [
        min(job.owned.num_examples(one), job.plan.max_examples) for one in job.cohorts[number - 1]
    ]
    for device, count in zip(job.cohorts[number - 1], counts, strict=True):
        tallies.add(
            SessionRecord(
                device=device,
                round=number,
                attempt=1,
                outcome=SessionOutcome.ACCEPTED,
                shape="[]",
                num_examples=count,
                bytes_up=0,
                bytes_down=0,
            )
        )
    return counts


def _sha256(weights: Weights) -> str:
    return wire.sha256(wire.encode(weights))

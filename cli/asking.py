"""What a simulation is asked for: a task by flags, or a scenario file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..device_sim.conditions import Conditions
from ..device_sim.data.dataset import Dataset
from ..device_sim.data.datasets import fetch
from ..protocol.artifact import Artifact
from ..protocol.errors import ConfigError
from .flags import baselines as baseline_flags
from .flags import data as data_flags
from .flags.groups import Values
from .flags.parsing import optional_path, required
from .flags.reading import plan_of, settings_of
from .scenario_file import read_scenario
from .simulating.scenario import ROUNDS, Scenario
from .simulating.trainers import TFF

FILES = (".yaml", ".yml")
# How a scenario is run, and where, is no part of it.
BESIDE_A_FILE = {
    "out",
    "workers",
    "trainer",
    "tff_aggregator",
    "transport",
    "server",
    "admin_token",
    "data_dir",
}
ALWAYS_THERE = {"help", "helpfull", "debug"}


def asked(word: str, values: Values) -> tuple[Scenario, Artifact, Dataset]:
    """The scenario of a file, or that of a task's name and the flags.

    Raises ConfigError, DataError and what reading an artifact raises.
    """
    if values["tff_aggregator"].present and values.trainer != TFF:
        raise ConfigError("tff_aggregator", values.tff_aggregator, "it needs --trainer=tff")
    scenario, artifact, dataset = (
        _by_file(Path(word), values) if word.endswith(FILES) else _by_flags(word, values)
    )
    run = {
        "trainer": values.trainer,
        "tff_aggregator": values.tff_aggregator,
        "workers": values.workers,
    }
    return replace(scenario, **run), artifact, dataset


def _by_file(path: Path, values: Values) -> tuple[Scenario, Artifact, Dataset]:
    for name in sorted(values):
        if values[name].present and name not in BESIDE_A_FILE | ALWAYS_THERE:
            raise ConfigError(name, values[name].value, f"say it in {path}, or give a task's name")
    found = read_scenario(path)
    dataset = fetch(found.dataset, data_dir=optional_path(values.data_dir))
    return (
        found.scenario,
        found.artifact,
        dataset.tested_on(found.test_examples or len(dataset.test)),
    )


def _by_flags(task: str, values: Values) -> tuple[Scenario, Artifact, Dataset]:
    artifact = Artifact.read(Path(required(values, "artifact")))
    scenario = Scenario(
        task=task,
        population=values.population,
        plan=plan_of(values, default=artifact.manifest.plan),
        settings=settings_of(values, default=ROUNDS),
        phones=values.phones,
        partition=data_flags.partition_of(values),
        conditions=Conditions(drop_out=values.drop_out),
        seed=values.seed,
        target=values.target,
        limit_s=values.limit_s,
        baselines=baseline_flags.baselines_of(values),
    )
    return scenario, artifact, data_flags.dataset_of(values)

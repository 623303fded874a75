"""Scenario files: a whole simulation as YAML; docs/fleet.md, "Scenario files", has every name.

::

    task: digits
    artifact: digits/
    data: {set: mnist, partition: {kind: dirichlet, alpha: 0.5}}
    plan: {epochs: 5}
    rounds: {goal: 50, rounds: 100, retry: {min_s: 600, max_s: 3600}}
    phones: {count: 1000, like: believable, mischief: {lie: 0.01}}
    stop: {accuracy: 0.97, hours: 72}
    baselines: [fedsgd, centralised, {kind: on_device, phones: 50}]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import yaml  # type: ignore[import-untyped]

from ..device_sim.baselines import BaselineKind
from ..device_sim.conditions import BELIEVABLE, Conditions
from ..device_sim.conditions.availability import AlwaysThere, DayAndNight
from ..device_sim.conditions.compute import LogNormalCompute, TieredCompute
from ..device_sim.conditions.mischief import MischiefShares
from ..device_sim.conditions.network import Network
from ..device_sim.conditions.silence import Silence
from ..device_sim.conditions.traces import Traced, read_trace
from ..device_sim.data.datasets import DATASETS
from ..device_sim.data.sharing import Partition
from ..protocol.artifact import Artifact
from ..protocol.errors import ConfigError, PocketFedError, first_line
from ..protocol.plan import Plan
from ..protocol.record import Name, Positive, Seconds
from .checking import Mistakes, checked, choice, section, shown
from .simulating.scenario import ROUNDS, Scenario

SECTIONS = (
    "task",
    "artifact",
    "population",
    "seed",
    "data",
    "plan",
    "rounds",
    "phones",
    "stop",
    "baselines",
)
LIKE = {"always_there": Conditions(), "believable": BELIEVABLE}
_AVAILABILITY = {"always_there": AlwaysThere, "day_and_night": DayAndNight}
_COMPUTE = {"log_normal": LogNormalCompute, "tiers": TieredCompute}
_BASELINES = {str(kind.__struct_config__.tag): kind for kind in get_args(BaselineKind)}
_PARTITIONS = {str(kind.__struct_config__.tag): kind for kind in get_args(Partition)}

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class TraceFile(msgspec.Struct, frozen=True):
    """A CSV file of eligible stretches, see ``read_trace``."""

    file: str
    repeats_weekly: bool = True


class Data(msgspec.Struct, frozen=True):
    """What the phones learn from."""

    set: str = "mnist"
    partition: Any = None
    test_examples: Positive | None = None
    measure_every: Positive = 1


class Phones(msgspec.Struct, frozen=True):
    """How many phones, and what they are like; what is not given is as in ``like``."""

    count: Positive | None = None
    like: str = "always_there"
    arrive_within_s: Seconds = 1.0
    drop_out: Share | None = None
    drift_ppm: Seconds | None = None
    availability: Any = None
    compute: Any = None
    network: Any = None
    silence: Any = None
    mischief: Any = None


class Stop(msgspec.Struct, frozen=True):
    """When the run ends, beside the rounds of the task: at this accuracy, after these hours."""

    accuracy: Share | None = None
    hours: Seconds = 24.0


@dataclass(frozen=True)
class ScenarioFile:
    """A scenario, and the files it names."""

    scenario: Scenario
    artifact: Artifact
    dataset: str
    test_examples: int | None


def read_scenario(path: Path) -> ScenarioFile:
    """Reads and checks a file; folders in it are relative to it.

    Raises ConfigError with a sentence for every mistake.
    """
    mistakes = Mistakes()
    read = _Reader(path.parent, mistakes).read(_parsed(path))
    if read is None or mistakes.sentences:
        sentences = "".join(f"\n- {sentence}" for sentence in mistakes.sentences)
        raise ConfigError("scenario", str(path), f"mend these:{sentences}")
    return read


def _parsed(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"it cannot be read ({error.strerror}); give the path of a YAML file"
        raise ConfigError("scenario", str(path), reason) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = f"it is no YAML: {' '.join(str(error).split())}"
        raise ConfigError("scenario", str(path), reason) from error


@dataclass(frozen=True)
class _Reader:
    """Reads section by section, so that a mistake in one hides none in another."""

    folder: Path
    mistakes: Mistakes

    def read(self, parsed: object) -> ScenarioFile | None:
        found = section(parsed, where="file", known=SECTIONS, mistakes=self.mistakes)
        if found is None:
            return None
        task = self._value(found, "task", Name, default=None)
        population = self._value(found, "population", Name, default="demo")
        seed = self._value(found, "seed", int, default=0)
        artifact = self._artifact(found.get("artifact"))
        data = self._data(found.get("data"))
        plan = self._over(artifact.manifest.plan if artifact else Plan(), found, "plan")
        rounds = self._over(ROUNDS, found, "rounds")
        phones = checked(Phones, found.get("phones"), where="phones", mistakes=self.mistakes)
        conditions = self._conditions(found.get("phones"))
        stop = checked(Stop, found.get("stop"), where="stop", mistakes=self.mistakes)
        partition = self._partition(data.partition if data else None)
        baselines = self._baselines(found.get("baselines"))
        if self.mistakes.sentences or not (artifact and data and phones and stop):
            return None
        scenario = Scenario(
            task=task,
            population=population,
            plan=plan,
            settings=rounds,
            phones=phones.count,
            conditions=conditions,
            arrive_within_s=phones.arrive_within_s,
            seed=seed,
            target=stop.accuracy,
            limit_s=stop.hours * 3600.0,
            partition=partition,
            measure_every=data.measure_every,
            baselines=baselines,
        )
        return ScenarioFile(scenario, artifact, data.set, data.test_examples)

    def _value(self, found: Mapping[str, Any], name: str, kind: Any, *, default: Any) -> Any:
        if name not in found and default is not None:
            return default
        try:
            return msgspec.convert(found.get(name), kind)
        except msgspec.ValidationError as error:
            got = shown(found[name]) if name in found else "nothing"
            self.mistakes.note(name, f"got {got}: {first_line(error).lower()}")
        return None

    def _artifact(self, value: object) -> Artifact | None:
        if not isinstance(value, str):
            self.mistakes.note("artifact", f"got {shown(value)}, expected a folder of `export`")
            return None
        try:
            return Artifact.read(self.folder / value)
        except PocketFedError as error:
            self.mistakes.note("artifact", first_line(error))
        return None

    def _data(self, value: object) -> Data | None:
        data = checked(Data, value, where="data", mistakes=self.mistakes)
        if data is not None and data.set not in DATASETS:
            known = ", ".join(DATASETS)
            self.mistakes.note("data.set", f"got {shown(data.set)}, expected one of {known}")
        return data

    def _partition(self, value: object) -> Any:
        if value is None:
            return None
        return choice(_PARTITIONS, value, where="data.partition", mistakes=self.mistakes)

    def _baselines(self, value: object) -> tuple[BaselineKind, ...]:
        if not isinstance(value, list | None):
            self.mistakes.note("baselines", f"got {shown(value)}, expected a list of kinds")
            return ()
        found = [
            choice(_BASELINES, one, where=f"baselines[{place}]", mistakes=self.mistakes)
            for place, one in enumerate(value or ())
        ]
        return tuple(one for one in found if one is not None)

    def _over(self, default: Any, found: Mapping[str, Any], name: str) -> Any:
        """A record in which what is given takes the place of the default's."""
        kind = type(default)
        given = section(
            found.get(name), where=name, known=kind.__struct_fields__, mistakes=self.mistakes
        )
        fields = {**msgspec.to_builtins(default), **(given or {})}
        return checked(kind, fields, where=name, mistakes=self.mistakes)

    def _conditions(self, phones: object) -> Conditions:
        """Read from what is written, so that a wrong number beside them hides no mistake in it."""
        fields: Mapping[str, Any] = phones if isinstance(phones, Mapping) else {}
        like = str(fields.get("like", "always_there"))
        if like not in LIKE:
            known = " or ".join(LIKE)
            self.mistakes.note("phones.like", f"got {shown(like)}, expected {known}")
        parts = {
            "drop_out": fields.get("drop_out"),
            "drift_ppm": fields.get("drift_ppm"),
            "availability": self._availability(fields.get("availability")),
            "compute": self._kind(_COMPUTE, fields.get("compute"), "phones.compute"),
            "network": self._part(Network, fields.get("network"), "phones.network"),
            "silence": self._part(Silence, fields.get("silence"), "phones.silence"),
            "mischief": self._part(MischiefShares, fields.get("mischief"), "phones.mischief"),
        }
        given = {name: part for name, part in parts.items() if part is not None}
        return replace(LIKE.get(like, Conditions()), **given)

    def _availability(self, value: object) -> Any:
        if not (isinstance(value, Mapping) and value.get("kind") == "trace"):
            return self._kind(_AVAILABILITY, value, "phones.availability")
        kinds = {"trace": TraceFile}
        trace = choice(kinds, value, where="phones.availability", mistakes=self.mistakes)
        return None if trace is None else self._trace(trace)

    def _trace(self, trace: TraceFile) -> Traced | None:
        where = "phones.availability.file"
        try:
            return read_trace(self.folder / trace.file, repeats_weekly=trace.repeats_weekly)
        except PocketFedError as error:
            self.mistakes.note(where, first_line(error))
        except OSError as error:
            self.mistakes.note(where, f"{trace.file} cannot be read ({error.strerror})")
        return None

    def _kind(self, kinds: Mapping[str, type[Any]], value: object, where: str) -> Any:
        if value is None:
            return None
        return choice(kinds, value, where=where, mistakes=self.mistakes)

    def _part(self, kind: type[Any], value: object, where: str) -> Any:
        if value is None:
            return None
        return checked(kind, value, where=where, mistakes=self.mistakes)

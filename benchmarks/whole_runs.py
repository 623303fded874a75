"""Whole virtual runs: rounds a second, a million phones, the same bits, and who is excluded."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import simulated
from results import Result
from simulated import Account, Lap

WARM_UP = 10
MILLION_LIMIT_S = 2400.0


def rounds(folder: Path, *, is_quick: bool) -> list[Result]:
    """Rounds a second of either trainer, through everything but the evaluation of checkpoints."""
    _export_2nn(folder)
    # In haste without TensorFlow, which three processes would have to import.
    counts = {"litert": 16} if is_quick else {"graph": 120, "litert": 60}
    found = []
    for trainer, count in counts.items():
        laps = laps_of_2nn(folder, trainer=trainer, rounds=count)
        found += _pace(f"rounds, 2NN, {trainer}", laps)
    return found


def laps_of_2nn(folder: Path, *, trainer: str, rounds: int) -> list[Lap]:
    """Ten phones a round, 600 examples each; without the rounds that warm up."""
    _export_2nn(folder)
    scenario = simulated.placed("rounds", folder, rounds={"rounds": rounds})
    account = simulated.run(scenario, folder / f"rounds-{trainer}", trainer=trainer, workers=2)
    return account.laps[WARM_UP:]


def million(folder: Path, *, is_quick: bool) -> list[Result]:
    """Time, memory and check-ins of many phones of which few are wanted."""
    _export_pixels(folder)
    phones, count = (20_000, 5) if is_quick else (1_000_000, 500)
    changes = {"phones": {"count": phones}, "rounds": {"rounds": count}}
    scenario = simulated.placed("million", folder, **changes)
    began, out = time.monotonic(), folder / "million"
    account = simulated.run(scenario, out, trainer="litert", workers=2, limit_s=MILLION_LIMIT_S)
    took_s = time.monotonic() - began
    name, laps = f"{phones:,} phones", account.laps
    resident = [lap.resident_mib for lap in laps]
    quarter = len(laps) // 4
    second, last = median(resident[quarter : 2 * quarter]), median(resident[-quarter:])
    return [
        Result(f"{name}: {count} rounds", took_s / 60.0, "min", 1),
        Result(f"{name}: simulated", account.virtual_h, "h", 1),
        Result(f"{name}: processor time a round", _cpu_s(laps), "s", len(laps)),
        Result(f"{name}: most memory", max(resident), "MiB", len(laps)),
        Result(f"{name}: memory, last / second quarter", last / second, "x", quarter),
        Result(f"{name}: check-ins", account.check_ins, "", 1),
        Result(f"{name}: check-ins a report", account.check_ins / account.accepted, "", 1),
        Result(f"{name}: accuracy", account.accuracy, "", 1),
    ]


def bits(folder: Path, *, is_quick: bool) -> list[Result]:
    """Whether the last checkpoint is the same with one worker and two, and after a SIGKILL."""
    scenario = _small(folder, rounds=4 if is_quick else 20)
    checkpoints = {
        f"{workers} workers": simulated.run(
            scenario, folder / f"bits-{workers}", trainer="litert", workers=workers
        ).checkpoint
        for workers in ((2,) if is_quick else (2, 1))
    }
    checkpoints["killed and taken up"] = _killed(scenario, folder / "bits-killed").checkpoint
    expected = checkpoints["2 workers"]
    sys.stdout.writelines(f"  {name}: {found}\n" for name, found in checkpoints.items())
    return [
        Result(f"same bits: {name}", found == expected, "", 1)
        for name, found in checkpoints.items()
    ]


def exclusion(folder: Path, *, is_quick: bool) -> list[Result]:
    """Over-selection and a deadline in numbers: what becomes of the places of each tier."""
    scenario = _small(folder, rounds=4 if is_quick else 20)
    account = simulated.run(scenario, folder / "exclusion", trainer="litert", workers=2)
    found, given = [], sum(tier.given for tier in account.tiers.values())
    for name, tier in sorted(account.tiers.items()):
        found += [
            Result(f"tier {name}: places", tier.given, "", 1),
            Result(f"tier {name}: accepted", tier.accepted, "", 1),
            Result(f"tier {name}: too late", tier.late, "", 1),
            Result(f"tier {name}: fell silent", tier.dropped, "", 1),
            Result(f"tier {name}: excluded", 100.0 * tier.excluded_share, "%", tier.given),
        ]
    return [*found, Result("places a report", given / account.accepted, "", given)]


PARTS: dict[str, Callable[..., list[Result]]] = {
    "rounds": rounds,
    "million": million,
    "bits": bits,
    "exclusion": exclusion,
}


def _pace(name: str, laps: Sequence[Lap]) -> list[Result]:
    seconds = [after.at_s - before.at_s for before, after in pairwise(laps)]
    return [
        Result(f"{name}: rounds", 1.0 / median(seconds), "1/s", len(seconds)),
        Result(f"{name}: processor time a round", _cpu_s(laps) * 1e3, "ms", len(seconds)),
    ]


def _cpu_s(laps: Sequence[Lap]) -> float:
    return (laps[-1].cpu_s - laps[0].cpu_s) / (len(laps) - 1)


def _small(folder: Path, *, rounds: int) -> Path:
    """The scenario of tiers and a deadline."""
    _export_pixels(folder)
    return simulated.placed("exclusion", folder, rounds={"rounds": rounds})


def _killed(scenario: Path, out: Path) -> Account:
    """Kills a run as soon as it has a safe point, and runs it again."""
    process = simulated.start(scenario, out, trainer="litert", workers=1)
    while process.poll() is None and not (out / "points" / "newest.json").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    if process.returncode != -9:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return simulated.run(scenario, out, trainer="litert", workers=1)


def _export_2nn(folder: Path) -> None:
    from pocketfed.model_export import export_zoo

    if not (folder / "mnist_2nn").exists():
        export_zoo("mnist_2nn", out=folder / "mnist_2nn", graph=True)


def _export_pixels(folder: Path) -> None:
    """A logistic regression over 7 x 7 means of pixels: 500 weights."""
    if (folder / "pixels").exists():
        return
    import keras
    from pocketfed.model_export import export
    from pocketfed.protocol.artifact import InputScale

    layers = [
        keras.Input((28, 28)),
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.AveragePooling2D(4),
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ]
    keras.utils.set_random_seed(0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Sequential(layers, name="pixels")
    export(model, out=folder / "pixels", loss=loss, input_scale=InputScale(scale=1 / 255))

"""The same rounds in other simulators, each in an environment of its own, beside ours.

An environment is made the first time, from pinned versions: TFF's by `make tff`, the others under
build/peers. A peer's processes carry a mark: what it leaves behind is found by it, and ended.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import numpy as np
import whole_runs
from peers.work import FOLDER, MARK, marked
from pocketfed.device_sim.data.datasets import fetch
from pocketfed.device_sim.data.sharing import Sampled
from results import Result

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
BUILD = ROOT / "build" / "peers"
NAMES = {"flower": "Flower 1.41", "tff": "TFF 0.87"}
PHONES, COHORT, EXAMPLES = 100, 10, 600
WARM_UP = 2
INSTALL_LIMIT_S, RUN_LIMIT_S = 1800.0, 900.0


class Pace(NamedTuple):
    """Client tasks a second, and the processor seconds of one: medians over rounds."""

    tasks_per_s: float
    cpu_s: float
    rounds: int


def beside(folder: Path, *, is_quick: bool) -> list[Result]:
    """Client tasks a second: ours, each peer's, and how many times theirs ours is.

    Ours are measured before and after each peer, so that a slow hour of the machine meets both.
    """
    rounds = 4 if is_quick else 12
    _write_work(folder / "work", rounds=rounds)
    found: list[Result] = []
    before = _ours(folder, rounds=30)
    for name in NAMES:
        python = environment(name)
        theirs = _pace(_laps(name, python, folder / "work"), ours=False)
        after = _ours(folder, rounds=30)
        found += _compared(name, theirs, [before, after])
        before = after
    return found


def environment(name: str) -> Path:
    """The interpreter of a peer's environment, which is made when it is not there."""
    if name == "tff":
        _call(["make", "--silent", "-C", str(ROOT), "tff"])
        return ROOT / ".venv-tff" / "bin" / "python"
    place = BUILD / name
    python, is_ready = place / "bin" / "python", place / "ready"
    if is_ready.exists():
        return python
    sys.stdout.write(f"  installing {NAMES[name]} into {place} ...\n")
    sys.stdout.flush()
    shutil.rmtree(place, ignore_errors=True)
    _call([_python311(), "-m", "venv", str(place)])
    _call([str(python), "-m", "pip", "install", "--quiet", "uv"])
    pins = ["-r", str(PEERS / f"{name}.txt")]
    _call([str(place / "bin" / "uv"), "pip", "install", "--python", str(python), *pins])
    is_ready.touch()
    return python


def _python311() -> str:
    """What the peers' pins are for."""
    if sys.version_info[:2] == (3, 11):
        return sys.executable
    found = shutil.which("python3.11")
    if found is None:
        raise RuntimeError("the peers need Python 3.11, and there is no python3.11 on the path")
    return found


def _call(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, timeout=INSTALL_LIMIT_S, stdin=subprocess.DEVNULL)


def _write_work(folder: Path, *, rounds: int) -> None:
    """What each phone has, as files, and what is to be done with it."""
    owned = Sampled(examples=EXAMPLES, sigma=0.0).share(fetch("handwriting"), phones=PHONES, seed=0)
    each = [owned.of(phone) for phone in range(PHONES)]
    folder.mkdir(exist_ok=True)
    np.save(folder / "x.npy", np.concatenate([one.x for one in each]))
    np.save(folder / "y.npy", np.concatenate([one.y for one in each]))
    work = {
        "phones": PHONES,
        "cohort": COHORT,
        "examples": EXAMPLES,
        "batch": 10,
        "learning_rate": 0.05,
        "rounds": rounds,
        "cores": len(os.sched_getaffinity(0)),
    }
    (folder / "work.json").write_text(json.dumps(work))


def _laps(name: str, python: Path, work: Path) -> list[dict[str, float]]:
    """Runs a peer: files instead of pipes, a group of its own, and an end to it."""
    mark, laps = secrets.token_hex(8), work / f"{name}.json"
    environ = {**os.environ, MARK: mark, FOLDER: str(work)}
    environ.pop("PYTHONPATH", None)
    with (work / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [str(python), str(PEERS / f"{name}.py"), str(laps)],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            code = process.wait(RUN_LIMIT_S)
        finally:
            process.kill()
            process.wait()
            _end_marked(mark)
    if code:
        last = (work / f"{name}.log").read_text()[-2000:]
        raise RuntimeError(f"{NAMES[name]} ended with {code}: {last}")
    found: list[dict[str, float]] = json.loads(laps.read_text())
    return found


def _end_marked(mark: str) -> None:
    for process_id in marked(mark):
        try:
            os.kill(process_id, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _ours(folder: Path, *, rounds: int) -> Pace:
    laps = whole_runs.laps_of_2nn(folder, trainer="graph", rounds=rounds)
    told = [{"at_s": lap.at_s, "cpu_s": lap.cpu_s, "tasks": float(COHORT)} for lap in laps]
    return _pace(told, ours=True)


def _pace(laps: Sequence[dict[str, float]], *, ours: bool) -> Pace:
    """Raises RuntimeError when a round trained fewer phones than it should."""
    kept = laps if ours else laps[WARM_UP:]
    if any(lap["tasks"] != COHORT for lap in kept[1:]):
        raise RuntimeError(
            f"expected {COHORT} phones a round, got {[lap['tasks'] for lap in laps]}"
        )

    def each(key: str) -> list[float]:
        return [after[key] - before[key] for before, after in pairwise(kept)]

    return Pace(COHORT / median(each("at_s")), median(each("cpu_s")) / COHORT, len(kept) - 1)


def _compared(name: str, theirs: Pace, ours: Sequence[Pace]) -> list[Result]:
    tasks_per_s = mean(pace.tasks_per_s for pace in ours)
    cpu_s = mean(pace.cpu_s for pace in ours)
    title, samples = NAMES[name], theirs.rounds
    return [
        Result(f"{title}: client tasks", theirs.tasks_per_s, "1/s", samples),
        Result(f"{title}: processor time a task", theirs.cpu_s * 1e3, "ms", samples),
        Result(f"ours beside {title}: client tasks", tasks_per_s, "1/s", len(ours)),
        Result(f"ours beside {title}: processor time a task", cpu_s * 1e3, "ms", len(ours)),
        Result(f"ours / {title}, tasks a second", tasks_per_s / theirs.tasks_per_s, "x", samples),
        Result(f"{title} / ours, processor time", theirs.cpu_s / cpu_s, "x", samples),
    ]

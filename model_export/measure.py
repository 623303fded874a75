"""What a train step costs: run in a process of its own, so that its peak memory is the model's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from ..protocol.artifact import GOLDEN, Artifact
from ..protocol.errors import ExportError
from ..runtime import Runtime
from .golden import Golden

MIN_STEPS, MAX_STEPS, ENOUGH_S = 5, 100, 1.0
TIME_LIMIT_S = 600
_STATUS = Path("/proc/self/status")


def measure(folder: Path) -> dict[str, float]:
    """Times ``train`` on one thread in a fresh process; raises ExportError when that fails."""
    command = [sys.executable, "-P", "-c", f"from {__name__} import main; main()"]
    command.append(str(folder.resolve()))
    done = subprocess.run(  # noqa: S603 - our own module, with a path as its only argument
        command, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False
    )
    if done.returncode:
        raise ExportError(f"measuring {folder} failed: {done.stderr.strip()[-300:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Prints the figures of the artifact in ``sys.argv[1]`` as JSON."""
    sys.stdout.write(json.dumps(_measure_here(Path(sys.argv[1]))))


def _measure_here(folder: Path) -> dict[str, float]:
    artifact = Artifact.read(folder)
    golden = Golden.from_bytes(artifact.bytes_of(GOLDEN))
    model = artifact.model
    before = _memory_mib("VmRSS")
    runtime = Runtime(model)
    steps_s = _times(runtime, golden)
    peak = _memory_mib("VmHWM")
    figures = {"train_ms_per_step": median(steps_s) * 1e3, "model_bytes": float(len(model))}
    if before is not None and peak is not None:
        figures["peak_rss_mib"] = peak - before
    return figures


def _times(runtime: Runtime, golden: Golden) -> list[float]:
    inputs = golden.step(0)
    runtime.train(inputs)
    steps_s: list[float] = []
    while len(steps_s) < MIN_STEPS or (sum(steps_s) < ENOUGH_S and len(steps_s) < MAX_STEPS):
        start = time.perf_counter()
        runtime.train(inputs)
        steps_s.append(time.perf_counter() - start)
    return steps_s


def _memory_mib(field: str) -> float | None:
    """A field of Linux's process status; None elsewhere."""
    if not _STATUS.exists():
        return None
    found = re.search(rf"{field}:\s+(\d+) kB", _STATUS.read_text())
    return int(found[1]) / 1024 if found else None

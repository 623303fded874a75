"""What a model costs: run in a process of its own, so that its peak memory is the model's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ...protocol.artifact import GOLDEN, Artifact
from ...protocol.errors import ExportError
from ...runtime import CompiledRuntime, Runtime
from .golden import Golden

MIN_RUNS, MAX_RUNS, ENOUGH_S = 5, 100, 0.5
TIME_LIMIT_S = 600
_STATUS = Path("/proc/self/status")


def measure(folder: Path) -> dict[str, float]:
    """Runs a model on one thread of a fresh process and returns figures by name with their unit.

    ``docs/artifact.md`` says what each means. Raises ExportError when the process fails.
    """
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
    model, step = artifact.model, golden.step(0)
    figures = {
        "model_bytes": float(len(model)),
        "weights_bytes": float(artifact.manifest.stored_bytes),
    }
    before = _memory_mib("VmRSS")
    runtime = Runtime(model)
    figures["train_ms_per_step"] = _median_ms(lambda: runtime.train(step))
    peak = _memory_mib("VmHWM")
    if before is not None and peak is not None:
        figures["peak_rss_mib"] = peak - before
    figures["evaluate_ms_per_batch"] = _median_ms(
        lambda: runtime.call("evaluate", golden.evaluation)
    )
    compiled = CompiledRuntime(model)
    figures["compiled_train_ms_per_step"] = _median_ms(lambda: compiled.train(step))
    return figures


def _median_ms(run: Callable[[], object]) -> float:
    """The first run sets things up and does not count."""
    run()
    taken_s: list[float] = []
    while len(taken_s) < MIN_RUNS or (sum(taken_s) < ENOUGH_S and len(taken_s) < MAX_RUNS):
        start = time.perf_counter()
        run()
        taken_s.append(time.perf_counter() - start)
    return median(taken_s) * 1e3


def _memory_mib(field: str) -> float | None:
    """A field of Linux's process status; None elsewhere."""
    if not _STATUS.exists():
        return None
    found = re.search(rf"{field}:\s+(\d+) kB", _STATUS.read_text())
    return int(found[1]) / 1024 if found else None

"""What a fold costs: reports a second of each aggregator, on one core and on all, and its memory.

Reports are float32 deltas of the paper's CNN, 1,663,370 weights or 6.65 MB; a fold reads each blob,
checks its SHA-256, decodes and aggregates it. A few distinct blobs stand for all, so they come from
the page cache; the table of a median is written in full. Each figure is of a process of its own,
whose peak of resident memory counts from before the fold. "Per processor" are the reports in a
second of processor time.
"""

import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags
from load import PAPER_CNN
from pocketfed.protocol import folding, wire
from pocketfed.protocol.admin import CreateTask
from pocketfed.protocol.plan import RoundSettings
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server.blobs import FolderBlobs
from pocketfed.server.folding.fold import basis_of, fold
from pocketfed.server.folding.workers import LocalWorkers
from pocketfed.server.store import Checkpoint, Update
from results import Result, show

QUICK = flags.DEFINE_bool("quick", False, "50 reports instead of 1,000")
JSON = flags.DEFINE_string("json", None, "file for the results, a list of records")
REPORTS = flags.DEFINE_integer("reports", None, "reports in the round", lower_bound=1)

SPEC = WeightSpec.of(PAPER_CNN)
DISTINCT = 40
KINDS = {
    "weighted mean": folding.WeightedMean(),
    "mean": folding.Mean(),
    "weighted mean, clipped": folding.WeightedMean(clip_norm=1.0),
    "trimmed mean": folding.TrimmedMean(),
    "median": folding.Median(),
}


def main(_: list[str]) -> None:
    reports = REPORTS.value or (50 if QUICK.value else 1_000)
    cores = len(os.sched_getaffinity(0))
    results: list[Result] = []
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        names = put_blobs(Path(folder), rng=np.random.default_rng(0))
        for name, kind in KINDS.items():
            for workers in sorted({1, cores}):
                with ProcessPoolExecutor(1, mp_context=spawn) as child:
                    arguments = Path(folder), names, kind, reports, workers
                    cost = child.submit(measured, *arguments).result()
                label = f"{name}, {workers} at work"
                results += [
                    Result(f"{label}: reports", reports / cost.seconds, "/s", 1),
                    Result(f"{label}: per processor", reports / cost.processor_s, "/s", 1),
                    Result(f"{label}: peak memory", cost.mib, "MiB", 1),
                ]
    show(results, JSON.value)


class Cost(NamedTuple):
    """Seconds on the clock and of all processors, and by how many MiB the peak of memory rose."""

    seconds: float
    processor_s: float
    mib: float


def put_blobs(folder: Path, *, rng: np.random.Generator) -> list[str]:
    """Writes a checkpoint and some deltas; returns their names, the checkpoint's first."""
    (folder / "blobs").mkdir()
    names = []
    for _ in range(DISTINCT + 1):
        delta = rng.normal(0.0, 0.01, SPEC.size).astype(np.float32)
        body = wire.encode(Weights(SPEC, delta))
        names.append(wire.sha256(body))
        (folder / "blobs" / names[-1]).write_bytes(body)
    return names


def measured(
    folder: Path, names: list[str], kind: folding.Aggregator, reports: int, workers: int
) -> Cost:
    """What one fold costs."""
    task = CreateTask(
        name="bench",
        population="bench",
        settings=RoundSettings(aggregator=kind),
        spec=SPEC.entries,
        model_sha256=names[0],
        manifest_sha256=names[0],
        checkpoint_sha256=names[0],
    )
    start = Checkpoint(id=1, task_id=1, version=0, sha256=names[0], bytes=0, created_at=0.0)
    read = FolderBlobs(folder / "blobs").read
    updates = [
        Update(assignment_id=str(n), sha256=names[1 + n % DISTINCT], num_examples=600)
        for n in range(reports)
    ]
    basis = basis_of(task, start, read=read)
    crew = LocalWorkers(count=workers, scratch=folder)
    before, began, began_working = peak_rss_mib(), time.perf_counter(), time.process_time()
    fold(task, basis, updates, read=read, workers=crew)
    return Cost(
        seconds=time.perf_counter() - began,
        processor_s=time.process_time() - began_working,
        mib=peak_rss_mib() - before,
    )


def peak_rss_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) / 1024


if __name__ == "__main__":
    app.run(main)

"""Has the simulator's phone train as it is told, and writes its delta: ARTIFACT FOLDER.

FOLDER holds ``plan.json``, with the plan, the order of each pass and the seeds of its steps, and
the examples: ``x.bin``, float32 or uint8 as ``x_dtype`` says, and ``y.bin``, int32. The delta is
written to ``delta.bin``, float32.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
from pocketfed.device_sim.data.examples import Examples
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.plan import Plan


class Told:
    """Stands for a generator: gives the orders and seeds it was told, one pass after the other."""

    def __init__(self, orders: list[list[int]], seeds: list[list[int]]) -> None:
        self._orders, self._seeds = iter(orders), iter(seeds)

    def permutation(self, count: int) -> Any:
        order = np.array(next(self._orders))
        if sorted(order) != list(range(count)):
            raise ValueError(f"the order is none of {count} examples")
        return order

    def integers(self, low: int, high: int, size: int, dtype: type) -> Any:
        seeds: Any = np.array(next(self._seeds), dtype)
        if seeds.shape != (size,) or seeds.min() < low or seeds.max() >= high:
            raise ValueError(f"the seeds are none of {size} steps")
        return seeds


def train(artifact: Artifact, folder: Path) -> None:
    """Trains by ``plan.json`` from the artifact's checkpoint."""
    told = json.loads((folder / "plan.json").read_text())
    y = np.fromfile(folder / "y.bin", "<i4")
    x: Any = np.fromfile(folder / "x.bin", told["x_dtype"]).reshape(len(y), -1)
    result = LiteRTTrainer(artifact.model, artifact.manifest).train(
        artifact.checkpoint,
        Examples(x, y),
        plan=Plan.of(told["plan"]),
        rng=cast(np.random.Generator, Told(told["orders"], told["seeds"])),
    )
    result.delta.vector.astype("<f4").tofile(folder / "delta.bin")


if __name__ == "__main__":
    train(Artifact.read(Path(sys.argv[1])), Path(sys.argv[2]))

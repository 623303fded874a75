"""A job for TFF as files: all that its rounds depend on goes in, weights and metrics come out.

::

    job.json                  the model, rates, aggregator, server optimizer, who is in a round
    weights.safetensors       the weights before the first round
    phones/3.safetensors      x and y of a phone, as the model takes them
    rounds/1.safetensors      3/order and 3/sizes: the examples a phone takes, batch by batch
    made/1.safetensors        the weights after a round
    measured.json             what TFF measured in each round

``rounds.py`` reads the first four and writes the others. Weights have the names of Keras without
the model's own: layer/weight.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from ...protocol.artifact import Artifact, Manifest
from ...protocol.plan import Plan, RoundSettings
from ...protocol.weights import Weights, WeightSpec
from ..conditions import shuffle_stream
from ..data.examples import Examples
from ..ownership import Ownership
from ..training.batches import Array, Feed, Steps, drawn
from .mapping import MEAN, aggregator_of, require_comparable, server_optimizer_of


@dataclass(frozen=True, kw_only=True)
class TffJob:
    """Rounds for TFF to make, the same local training as that of the phones of a fleet.

    ``model`` is the description of ``model_export.layers``. ``cohorts`` are the phones whose
    updates count in round 1, 2 and so on; with ``seed`` they decide every batch. ``aggregator`` is
    the task's mean or one of TFF's own, see ``mapping``.
    """

    artifact: Artifact
    model: Mapping[str, Any]
    plan: Plan
    settings: RoundSettings
    owned: Ownership
    seed: int
    cohorts: Sequence[Sequence[int]]
    aggregator: str = MEAN

    def write(self, folder: Path) -> None:
        """Writes the job into ``folder``; raises ConfigError where TFF would compute otherwise."""
        manifest = self.artifact.manifest
        require_comparable(manifest)
        job = {
            "model": self.model,
            **self._specs(),
            "learning_rate": self.plan.learning_rate,
            "aggregator": aggregator_of(self.settings.aggregator, own=self.aggregator),
            "server_optimizer": server_optimizer_of(self.settings.server_optimizer),
            "rounds": self.cohorts,
        }
        for name in ("phones", "rounds"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "job.json").write_text(json.dumps(job, indent=1))
        save_file(_arrays(self.artifact.checkpoint), folder / "weights.safetensors")
        for number, cohort in enumerate(self.cohorts, 1):
            self._write_round(folder, number, cohort)

    def _specs(self) -> dict[str, object]:
        """Shape and dtype of one row of x and of y."""
        inputs = self.artifact.manifest.signatures["train"].inputs
        return {
            spec.name: {"shape": spec.shape[1:], "dtype": spec.dtype}
            for spec in inputs
            if spec.name in ("x", "y")
        }

    def _write_round(self, folder: Path, number: int, cohort: Sequence[int]) -> None:
        taken: dict[str, Array] = {}
        for device in cohort:
            place = folder / "phones" / f"{device}.safetensors"
            if not place.exists():
                save_file(_fed(self.owned.of(device), self.artifact.manifest), place)
            taken |= self._taken(device, number)
        save_file(taken, folder / "rounds" / f"{number}.safetensors")

    def _taken(self, device: int, number: int) -> dict[str, Array]:
        """The examples of a phone in the order it takes them, and how many are in a batch."""
        rows, passes = drawn(
            self.owned.num_examples(device),
            plan=self.plan,
            width=self.artifact.manifest.batch_size,
            rng=shuffle_stream(seed=self.seed, device=device, round_=number),
            takes_seed=False,
        )
        steps = Steps.one_after_another(passes)
        is_real = steps.weight > 0
        return {
            f"{device}/order": rows[steps.places[is_real]],
            f"{device}/sizes": is_real.sum(1, dtype=np.int64),
        }


def made(folder: Path, number: int, spec: WeightSpec) -> Weights:
    """The weights after a round, see ``TffJob``."""
    arrays = load_file(folder / "made" / f"{number}.safetensors")
    names = {entry.name: _name(entry.name) for entry in spec.entries}
    return Weights.pack(spec, {path: arrays[name] for path, name in names.items()})


def measured(folder: Path) -> list[dict[str, Any]]:
    """What TFF measured in each round, as it calls it."""
    found: list[dict[str, Any]] = json.loads((folder / "measured.json").read_text())
    return found


def _fed(examples: Examples, manifest: Manifest) -> dict[str, Array]:
    feed = Feed.of(examples, manifest, "train")
    return {"x": np.ascontiguousarray(feed.x), "y": np.ascontiguousarray(feed.y)}


def _arrays(weights: Weights) -> dict[str, Array]:
    return {_name(entry.name): weights[entry.name] for entry in weights.spec.entries}


def _name(path: str) -> str:
    """Without the model's own name."""
    return path.partition("/")[2]

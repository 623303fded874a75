"""Static batches: which examples a step takes, with which seed, and what pads the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...protocol.artifact import Manifest
from ...protocol.errors import SpecMismatch
from ...protocol.plan import Plan
from ..data.examples import Examples

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Steps:
    """Batches in the order they are taken, one per row of each array.

    ``places`` [steps, batch], int32, are those of the examples; ``weight`` [steps, batch], float32,
    is 1 for a real example and 0 for padding; ``seeds`` [steps], int32, is None for a model that
    draws nothing.
    """

    places: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    seeds: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def of(cls, order: npt.NDArray[np.int64], *, size: int, width: int) -> Steps:
        """Takes ``size`` examples a step, in ``order``, padded to the ``width`` of the model."""
        count = math.ceil(len(order) / size)
        places = np.zeros((count, width), np.int32)
        weight = np.zeros((count, width), np.float32)
        at = np.arange(len(order))
        places[at // size, at % size] = order
        weight[at // size, at % size] = 1.0
        return cls(places, weight)

    @classmethod
    def one_after_another(cls, passes: Sequence[Steps]) -> Steps:
        """All steps of some passes."""
        seeds = [each.seeds for each in passes if each.seeds is not None]
        return cls(
            np.concatenate([each.places for each in passes]),
            np.concatenate([each.weight for each in passes]),
            np.concatenate(seeds) if seeds else None,
        )

    def mean(self, losses: npt.NDArray[np.float32]) -> float:
        """The mean over all examples of losses that are means over a step, [steps]."""
        counts = self.weight.sum(1, dtype=np.float64)
        return float(losses.astype(np.float64) @ counts / counts.sum())


@dataclass(frozen=True)
class Feed:
    """Examples as a signature takes them: ``x`` and ``y`` with a row each."""

    x: Array
    y: Array

    @classmethod
    def of(cls, examples: Examples, manifest: Manifest, signature: str) -> Feed:
        """Raises SpecMismatch when the examples do not fit what the model takes."""
        inputs = {spec.name: spec for spec in manifest.signatures[signature].inputs}
        if not {"x", "y"} <= inputs.keys():
            names = ", ".join(inputs)
            raise SpecMismatch(f"{manifest.name} takes {names}; the examples have one x and one y")
        return cls(
            _fitted(
                examples.inputs(manifest.input_scale), inputs["x"].shape, manifest, "inputs"
            ).astype(inputs["x"].dtype, copy=False),
            _fitted(examples.y, inputs["y"].shape, manifest, "labels").astype(
                inputs["y"].dtype, copy=False
            ),
        )


def drawn(
    count: int, *, plan: Plan, width: int, rng: np.random.Generator, takes_seed: bool
) -> tuple[npt.NDArray[np.int64], list[Steps]]:
    """Which of ``count`` examples take part in a local training, and its passes over them.

    At most ``plan.max_examples`` do, the same in all passes; steps count places among them.
    """
    rows = np.arange(count)
    if count > plan.max_examples:
        rows = rng.permutation(count)[: plan.max_examples]
    passes = passes_of(len(rows), plan=plan, width=width, rng=rng, takes_seed=takes_seed)
    return rows, passes


def passes_of(
    count: int, *, plan: Plan, width: int, rng: np.random.Generator, takes_seed: bool
) -> list[Steps]:
    """The passes of a local training over ``count`` examples, each in an order of its own.

    ``rng`` is drawn from as the steps are taken: an order, then a seed for each step of the pass.
    """
    passes = []
    for _ in range(plan.epochs):
        steps = Steps.of(rng.permutation(count), size=plan.batch_size, width=width)
        seeds = None
        if takes_seed:
            drawn = rng.integers(-(2**31), 2**31, len(steps), np.int64)
            seeds = drawn.astype(np.int32)
        passes.append(Steps(steps.places, steps.weight, seeds))
    return passes


def _fitted(array: Array, shape: tuple[int, ...], manifest: Manifest, what: str) -> Array:
    row = shape[1:]
    if math.prod(row) != math.prod(array.shape[1:]):
        raise SpecMismatch(
            f"{manifest.name} takes {what} of shape {row}, "
            f"the examples have shape {array.shape[1:]}"
        )
    return array.reshape(len(array), *row)

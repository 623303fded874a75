"""Trainers run local training and evaluation on one phone's examples.

``LiteRTTrainer`` calls the signatures of the very ``.tflite`` bytes a real phone runs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..protocol.artifact import Manifest
from ..protocol.errors import ConfigError, DamagedArtifact, DataError, SpecMismatch
from ..protocol.plan import Plan
from ..protocol.weights import Weights
from ..runtime import Array, Runtime
from .data.examples import Examples

Floats = npt.NDArray[np.float32]
SIGNATURES = ("train", "evaluate", "get_weights", "set_weights")


@dataclass(frozen=True)
class LocalResult:
    """What local training gave: ``loss`` is the mean over the last pass, ``steps`` are batches."""

    delta: Weights
    num_examples: int
    loss: float
    steps: int


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and share of correct labels over ``num_examples`` examples."""

    loss: float
    accuracy: float
    num_examples: int


class Trainer(Protocol):
    """Trains and evaluates one model; not to be shared between threads."""

    def train(
        self, weights: Weights, examples: Examples, *, plan: Plan, rng: np.random.Generator
    ) -> LocalResult:
        """Runs the plan from ``weights``; the delta is trained - received."""
        ...

    def evaluate(self, weights: Weights, examples: Examples) -> Evaluation:
        """Measures ``weights`` on every example once."""
        ...


NewTrainer = Callable[[bytes, Manifest], Trainer]


class LiteRTTrainer:
    """Local training through the signatures of a ``.tflite``, one thread, static batches.

    A batch that is not full is padded with examples of weight 0, so every example counts exactly
    once in a pass, whatever the phone owns. Raises DamagedArtifact when the model cannot be run.
    """

    def __init__(self, model: bytes, manifest: Manifest) -> None:
        self._runtime = Runtime(model)
        missing = [name for name in SIGNATURES if name not in self._runtime.signatures()]
        if missing:
            raise DamagedArtifact(f"{manifest.name} has no signature {missing[0]!r}")
        self._takes_seed = "seed" in self._runtime.signatures()["train"]["inputs"]
        self._manifest = manifest
        self._spec = manifest.weight_spec

    def train(
        self, weights: Weights, examples: Examples, *, plan: Plan, rng: np.random.Generator
    ) -> LocalResult:
        """Shuffles before each pass; at most ``plan.max_examples`` take part, the same in all."""
        self._require_plan(plan, examples)
        chosen = examples
        if len(examples) > plan.max_examples:
            chosen = examples.take(rng.permutation(len(examples))[: plan.max_examples])
        # A phone's optimizer lives for one round, whatever this interpreter trained before.
        self._runtime.reset_optimizer()
        self._runtime.weights = weights.vector
        feed = _Feed(self._inputs(chosen, "train"), chosen.y, batch_size=self._manifest.batch_size)
        rate = np.array(plan.learning_rate, np.float32)
        loss = math.nan
        for _ in range(plan.epochs):
            order = rng.permutation(len(chosen))
            loss = self._one_pass(feed, order, plan.batch_size, rate, rng)
        return LocalResult(
            delta=Weights(self._spec, self._runtime.weights - weights.vector),
            num_examples=len(chosen),
            loss=loss,
            steps=plan.epochs * math.ceil(len(chosen) / plan.batch_size),
        )

    def evaluate(self, weights: Weights, examples: Examples) -> Evaluation:
        if not len(examples):
            raise DataError("there is no example to evaluate on")
        self._runtime.weights = weights.vector
        size = self._manifest.evaluate_batch_size
        loss = correct = count = 0.0
        feed = _Feed(self._inputs(examples, "evaluate"), examples.y, batch_size=size)
        for x, y, weight, _ in feed.batches(np.arange(len(examples)), size):
            out = self._runtime.call("evaluate", {"x": x, "y": y, "weight": weight})
            loss += float(out["loss_sum"])
            correct += float(out["correct_sum"])
            count += float(out["weight_sum"])
        return Evaluation(loss=loss / count, accuracy=correct / count, num_examples=len(examples))

    def _one_pass(
        self,
        feed: _Feed,
        order: npt.NDArray[np.int64],
        batch_size: int,
        learning_rate: Array,
        rng: np.random.Generator,
    ) -> float:
        total = 0.0
        for x, y, weight, count in feed.batches(order, batch_size):
            inputs = {"x": x, "y": y, "weight": weight, "learning_rate": learning_rate}
            total += self._runtime.train({**inputs, **self._seed(rng)}) * count
        return total / len(order)

    def _seed(self, rng: np.random.Generator) -> dict[str, Array]:
        """A fresh seed for one step of a model that draws random numbers, such as for dropout."""
        if not self._takes_seed:
            return {}
        return {"seed": rng.integers(-(2**31), 2**31, (), np.int64).astype(np.int32)}

    def _require_plan(self, plan: Plan, examples: Examples) -> None:
        if not len(examples):
            raise DataError("there is no example to train on")
        if plan.batch_size > self._manifest.batch_size:
            raise ConfigError(
                "batch_size",
                plan.batch_size,
                f"{self._manifest.name} was exported for batches of at most "
                f"{self._manifest.batch_size}; lower it in the plan or export the model again",
            )

    def _inputs(self, examples: Examples, signature: str) -> Array:
        """The examples as this signature's ``x``, one row each."""
        specs = self._manifest.signatures[signature].inputs
        row = next((spec.shape[1:] for spec in specs if spec.name == "x"), None)
        if row is None:
            names = ", ".join(spec.name for spec in specs)
            raise SpecMismatch(f"{self._manifest.name} takes {names}; the examples have one x")
        inputs = examples.inputs(self._manifest.input_scale)
        if math.prod(row) != math.prod(inputs.shape[1:]):
            raise SpecMismatch(
                f"{self._manifest.name} takes inputs of shape {row}, "
                f"the examples have shape {inputs.shape[1:]}"
            )
        return inputs.reshape(len(examples), *row)


class _Feed:
    """Static batches over some examples; the arrays it yields are filled anew for each batch."""

    def __init__(self, x: Array, y: npt.NDArray[np.int32], *, batch_size: int) -> None:
        self._x, self._y = x, y
        self._batch = np.zeros((batch_size, *x.shape[1:]), x.dtype)
        self._labels = np.zeros((batch_size, *y.shape[1:]), np.int32)
        self._weight = np.zeros(batch_size, np.float32)

    def batches(
        self, order: npt.NDArray[np.int64], size: int
    ) -> Iterator[tuple[Array, npt.NDArray[np.int32], Floats, int]]:
        """Yields (x, y, weight, count) with ``count`` real examples first, the rest weight 0."""
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            count = len(rows)
            self._batch[:count] = self._x[rows]
            self._labels[:count] = self._y[rows]
            self._weight[:count] = 1.0
            self._weight[count:] = 0.0
            yield self._batch, self._labels, self._weight, count


class TrainerPool:
    """One trainer per thread and model, made when first needed and kept."""

    def __init__(self, new_trainer: NewTrainer) -> None:
        self._new_trainer = new_trainer
        self._of_this_thread = threading.local()

    def get(self, model_sha256: str, model: bytes, manifest: Manifest) -> Trainer:
        """This thread's trainer of a model."""
        mine: dict[str, Trainer] = self._of_this_thread.__dict__
        if model_sha256 not in mine:
            mine[model_sha256] = self._new_trainer(model, manifest)
        return mine[model_sha256]

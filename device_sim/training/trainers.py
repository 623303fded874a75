"""Trainers run local training and evaluation on one phone's examples.

``LiteRTTrainer`` calls the signatures of the very ``.tflite`` bytes a real phone runs. What a local
training is, whoever takes its steps, is ``LocalTrainer``.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ...protocol.artifact import Manifest
from ...protocol.errors import ConfigError, DamagedArtifact, DataError
from ...protocol.plan import Plan
from ...protocol.weights import Vector, Weights
from ...runtime import Array, Runtime
from ..data.examples import Examples
from .batches import Feed, Steps, drawn

Losses = npt.NDArray[np.float32]
SIGNATURES = ("train", "evaluate", "get_weights", "set_weights")


@dataclass(frozen=True)
class LocalResult:
    """What local training gave: ``loss`` is the mean over the last pass, ``steps`` are batches."""

    delta: Weights
    num_examples: int
    loss: float
    steps: int
    deviation: float | None = None


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


class Sums(NamedTuple):
    """What an evaluation adds up over its examples."""

    loss: float
    correct: float
    examples: float


class LocalTrainer(ABC):
    """Local training and evaluation in static batches; a subclass takes the steps.

    A batch that is not full is padded with examples of weight 0, so every example counts exactly
    once in a pass, whatever the phone owns.
    """

    def __init__(self, manifest: Manifest, *, takes_seed: bool) -> None:
        self._manifest = manifest
        self._spec = manifest.weight_spec
        self._takes_seed = takes_seed

    def train(
        self, weights: Weights, examples: Examples, *, plan: Plan, rng: np.random.Generator
    ) -> LocalResult:
        """Shuffles before each pass; at most ``plan.max_examples`` take part, the same in all."""
        self._require_plan(plan, examples)
        width, takes_seed = self._manifest.batch_size, self._takes_seed
        rows, passes = drawn(len(examples), plan=plan, width=width, rng=rng, takes_seed=takes_seed)
        is_whole = len(rows) == len(examples)
        chosen = examples if is_whole else examples.take(rows)
        feed = Feed.of(chosen, self._manifest, "train")
        steps, rate = Steps.one_after_another(passes), np.array(plan.learning_rate, np.float32)
        delta, losses = self._take(steps, feed, weights.vector, rate)
        last = passes[-1]
        return LocalResult(
            delta=Weights(self._spec, delta),
            num_examples=len(rows),
            loss=last.mean(losses[-len(last) :]),
            steps=len(steps),
        )

    def evaluate(self, weights: Weights, examples: Examples) -> Evaluation:
        if not len(examples):
            raise DataError("there is no example to evaluate on")
        feed, size = Feed.of(examples, self._manifest, "evaluate"), len(examples)
        width = self._manifest.evaluate_batch_size
        steps = Steps.of(np.arange(size), size=width, width=width)
        sums = self._measure(steps, feed, weights.vector)
        return Evaluation(
            loss=sums.loss / sums.examples,
            accuracy=sums.correct / sums.examples,
            num_examples=size,
        )

    @abstractmethod
    def _take(
        self, steps: Steps, feed: Feed, vector: Vector, learning_rate: Array
    ) -> tuple[Vector, Losses]:
        """Takes all steps from the weights ``vector`` with an optimizer that remembers nothing yet.

        Returns what they changed, and the loss of each step.
        """

    @abstractmethod
    def _measure(self, steps: Steps, feed: Feed, vector: Vector) -> Sums:
        """Evaluates the weights ``vector`` on the examples of all steps."""

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


class LiteRTTrainer(LocalTrainer):
    """Local training through the signatures of a ``.tflite``, one thread.

    Raises DamagedArtifact when the model cannot be run.
    """

    def __init__(self, model: bytes, manifest: Manifest) -> None:
        self._runtime = Runtime(model)
        signatures = self._runtime.signatures()
        missing = [name for name in SIGNATURES if name not in signatures]
        if missing:
            raise DamagedArtifact(f"{manifest.name} has no signature {missing[0]!r}")
        super().__init__(manifest, takes_seed="seed" in signatures["train"]["inputs"])

    def _take(
        self, steps: Steps, feed: Feed, vector: Vector, learning_rate: Array
    ) -> tuple[Vector, Losses]:
        # A phone's optimizer lives for one round, whatever this interpreter trained before.
        self._runtime.reset_optimizer()
        self._runtime.weights = vector
        losses = np.empty(len(steps), np.float32)
        for step in range(len(steps)):
            inputs = {**_batch(steps, feed, step), "learning_rate": learning_rate}
            if steps.seeds is not None:
                inputs["seed"] = steps.seeds[step]
            losses[step] = self._runtime.train(inputs)
        return self._runtime.weights - vector, losses

    def _measure(self, steps: Steps, feed: Feed, vector: Vector) -> Sums:
        self._runtime.weights = vector
        loss = correct = count = 0.0
        for step in range(len(steps)):
            out = self._runtime.call("evaluate", _batch(steps, feed, step))
            loss += float(out["loss_sum"])
            correct += float(out["correct_sum"])
            count += float(out["weight_sum"])
        return Sums(loss, correct, count)


def _batch(steps: Steps, feed: Feed, step: int) -> dict[str, Array]:
    places = steps.places[step]
    return {"x": feed.x[places], "y": feed.y[places], "weight": steps.weight[step]}


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

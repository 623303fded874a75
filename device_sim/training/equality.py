"""Equality, sampled: some phones of a run are trained by two trainers, and the two are compared."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from ...protocol.artifact import Manifest
from ...protocol.errors import ParityFailure
from ...protocol.plan import Plan
from ...protocol.weights import Vector, Weights
from ..data.examples import Examples
from .trainers import Evaluation, LocalResult, NewTrainer, Trainer

# What a manifest's tolerances are for.
STEPS = 10
# As the exporter does: nudges by some last bits, and how much of what they move is allowed.
PROBES, NUDGE, PATIENCE, MOST_MOVED = 2, np.float32(2.0**-20), np.float32(4.0), 0.25


class TrainersDisagree(Exception):
    """Two trainers end too far apart, which ends the whole run.

    It is no PocketFedError, which a phone takes for a failure of its own; outside the fleet
    ``disagreement_raised`` makes it one.
    """

    def __init__(self, message: str, max_error: float) -> None:
        super().__init__(message, max_error)
        self.max_error = max_error

    def __str__(self) -> str:
        return str(self.args[0])


@contextmanager
def disagreement_raised() -> Iterator[None]:
    """Turns TrainersDisagree, which a fleet ended with, into ParityFailure; also a decorator."""
    try:
        yield
    except TrainersDisagree as error:
        raise ParityFailure(str(error), max_error=error.max_error) from error


@dataclass(frozen=True)
class EqualitySample:
    """Makes trainers that are checked from time to time: a NewTrainer around two others.

    ``fast`` trains every phone; a ``share`` of all trainings, the first of each trainer in any
    case, are also run by ``trusted``. Which ones is drawn from the stream of each training, so it
    depends neither on order nor on workers, and the run itself stays what it is.

    A weight may differ by the manifest's tolerance for every ten steps begun, and further where a
    trainer is as far from itself; beyond that the training raises TrainersDisagree. ``deviation``
    of a result that was compared is the largest difference as a share of what was allowed.
    """

    fast: NewTrainer
    trusted: NewTrainer
    share: float = 0.02

    def __call__(self, model: bytes, manifest: Manifest) -> Trainer:
        fast, trusted = self.fast(model, manifest), self.trusted(model, manifest)
        return _ComparedTrainer(fast, trusted, manifest, self.share)


def summary_of(deviations: Sequence[float]) -> str:
    """How many trainings were compared, and the worst of them."""
    if not deviations:
        return "none compared"
    return f"{len(deviations)} compared, at most {max(deviations):.2f} of the tolerance apart"


@dataclass
class _ComparedTrainer:
    fast: Trainer
    trusted: Trainer
    manifest: Manifest
    share: float
    has_compared: bool = False

    def train(
        self, weights: Weights, examples: Examples, *, plan: Plan, rng: np.random.Generator
    ) -> LocalResult:
        again, lot = copy.deepcopy(rng), copy.deepcopy(rng).random()
        result = self.fast.train(weights, examples, plan=plan, rng=rng)
        if self.has_compared and lot >= self.share:
            return result

        def trusted(start: Weights) -> LocalResult:
            return self.trusted.train(start, examples, plan=plan, rng=copy.deepcopy(again))

        def untrusted(start: Weights) -> LocalResult:
            return self.fast.train(start, examples, plan=plan, rng=copy.deepcopy(again))

        expected = trusted(weights)
        deviation = self._deviation(weights, result, expected, slack=np.zeros_like(weights.vector))
        if deviation > 1.0:
            slack = np.maximum(
                _slack(weights, expected, trusted), _slack(weights, result, untrusted)
            )
            deviation = self._deviation(weights, result, expected, slack=slack)
        self.has_compared = True
        self._require(deviation, result, expected)
        return replace(result, deviation=deviation)

    def evaluate(self, weights: Weights, examples: Examples) -> Evaluation:
        return self.fast.evaluate(weights, examples)

    def _deviation(
        self, received: Weights, result: LocalResult, expected: LocalResult, *, slack: Vector
    ) -> float:
        """The largest difference of a weight as a share of what is allowed."""
        tolerances, begun = self.manifest.tolerances, -(-expected.steps // STEPS)
        trained = np.abs(received.vector + expected.delta.vector)
        allowed = begun * (tolerances.atol + tolerances.rtol * trained) + slack
        difference = _distances(result.delta.vector, expected.delta.vector)
        is_apart = difference != 0.0
        return float(np.max(difference[is_apart] / allowed[is_apart], initial=0.0))

    def _require(self, deviation: float, result: LocalResult, expected: LocalResult) -> None:
        facts, others = ((r.num_examples, r.steps) for r in (result, expected))
        if deviation <= 1.0 and facts == others:
            return
        raise TrainersDisagree(
            f"two trainers of {self.manifest.name} are {deviation:.3g} times the tolerance apart "
            f"after {facts[1]} and {others[1]} steps over {facts[0]} and {others[0]} examples; "
            "train with --trainer=litert",
            float(np.max(_distances(result.delta.vector, expected.delta.vector), initial=0.0)),
        )


def _slack(
    received: Weights, expected: LocalResult, train: Callable[[Weights], LocalResult]
) -> Vector:
    """How much further than the tolerance each weight may be: four times what a nudge moves it.

    Where rounding alone decides, as before a ReLU at zero or in statistics of one example, a
    trainer is as far from itself when all weights begin a few last bits off. The same within a
    tensor, and none where that would be no proof any more.
    """
    moved = np.zeros_like(received.vector)
    for probe in range(PROBES):
        signs = np.random.default_rng(probe).choice([-1.0, 1.0], moved.shape).astype(np.float32)
        nudged = (received.vector * (1 + NUDGE * signs)).astype(np.float32)
        other = train(Weights(received.spec, nudged)).delta.vector
        moved = np.maximum(moved, _distances(other, expected.delta.vector))
    if np.linalg.norm(moved) > MOST_MOVED * np.linalg.norm(expected.delta.vector):
        return np.zeros_like(moved)
    for entry in received.spec.entries:
        part = moved[entry.offset : entry.offset + entry.size]
        part[...] = np.max(part, initial=0.0)
    return PATIENCE * moved


def _distances(one: Vector, other: Vector) -> Vector:
    """Absolute differences; none between what is not finite in both, where training diverged."""
    with np.errstate(invalid="ignore"):
        distance: Vector = np.abs(one - other)
    return np.where(np.isfinite(one) | np.isfinite(other), distance, np.float32(0.0))

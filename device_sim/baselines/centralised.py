"""Centralised SGD: the same model trained on everybody's examples in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ...protocol.plan import Plan
from ...protocol.weights import Weights
from ..data.examples import Examples, joined
from ..ownership import Ownership, Partitioned
from ..report.baselines import BaselinePoint
from ..streams import Purpose, stream
from ..training.trainers import Trainer

POOLED = 60_000
EVALUATIONS = 50
_CHUNK = 5_000


def pooled(owned: Ownership, *, seed: int) -> Examples:
    """What all phones own; of a fleet that draws or makes its examples, some ``POOLED`` of them."""
    if isinstance(owned, Partitioned):
        return owned.examples.take(owned.rows)
    found: list[Examples] = []
    for device in stream(seed, Purpose.BASELINE).permutation(owned.phones).tolist():
        found.append(owned.of(device))
        if sum(map(len, found)) >= POOLED:
            break
    return joined(found)


def train_centralised(
    trainer: Trainer,
    start: Weights,
    pool: Examples,
    *,
    test: Examples,
    plan: Plan,
    budget: Sequence[tuple[int, int]],
    seed: int,
) -> Iterator[BaselinePoint]:
    """Trains pass after pass over ``pool``; evaluates beside at most ``EVALUATIONS`` rounds.

    ``budget`` has for each round, in order, the examples that its phones and all before them have
    trained on, each pass counted. Raises what the trainer raises.
    """
    order = _endless(len(pool), seed=seed)
    weights, trained = start, 0
    for place in _evenly(len(budget)):
        round_, examples = budget[place]
        while trained < examples:
            size = min(_chunk(plan), examples - trained)
            chosen = np.fromiter(order, np.int64, size)
            weights = _after(
                trainer, weights, pool.take(chosen), plan=plan, rng=_rng(seed, trained)
            )
            trained += size
        measured = trainer.evaluate(weights, test)
        yield BaselinePoint(round_, measured.accuracy, measured.loss, trained)


def _after(
    trainer: Trainer,
    weights: Weights,
    examples: Examples,
    *,
    plan: Plan,
    rng: np.random.Generator,
) -> Weights:
    once = msgspec.structs.replace(plan, epochs=1, max_examples=len(examples))
    delta = trainer.train(weights, examples, plan=once, rng=rng).delta
    return Weights(weights.spec, weights.vector + delta.vector)


def _endless(count: int, *, seed: int) -> Iterator[int]:
    """Places of the pool, each once in a pass, in an order of the pass's own."""
    rng = stream(seed, Purpose.BASELINE, 0)
    while True:
        yield from rng.permutation(count).tolist()


def _chunk(plan: Plan) -> int:
    """Whole batches, so that only the last one before an evaluation may not be full."""
    return max(1, _CHUNK // plan.batch_size) * plan.batch_size


def _evenly(count: int) -> npt.NDArray[np.int64]:
    """Places from the first to the last, at most ``EVALUATIONS`` of them."""
    return np.unique(np.linspace(0, count - 1, min(count, EVALUATIONS)).round().astype(np.int64))


def _rng(seed: int, trained: int) -> np.random.Generator:
    return stream(seed, Purpose.BASELINE, 1, trained)

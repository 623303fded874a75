"""Full batches: a phone's whole gradient through a model that takes fewer examples at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np

from ...protocol.artifact import Manifest
from ...protocol.errors import ConfigError
from ...protocol.plan import Plan
from ...protocol.weights import Weights
from ..data.examples import Examples
from ..training.trainers import Evaluation, LocalResult, NewTrainer, Trainer

PLAIN = "sgd"


@dataclass(frozen=True)
class FullBatchTrainers:
    """A NewTrainer for B = infinity of arXiv 1602.05629, FedSGD with E = 1, around another one.

    A step on all examples is the mean of the steps on parts of them, each from the same weights and
    weighted by its examples; so is what it changes. Each of the plan's epochs is one such step.
    That holds for plain SGD alone: raises ConfigError for a model with another optimizer.
    """

    inner: NewTrainer

    def __call__(self, model: bytes, manifest: Manifest) -> Trainer:
        require_plain(manifest)
        return _FullBatchTrainer(self.inner(model, manifest), manifest.batch_size)


def require_plain(manifest: Manifest) -> None:
    """Raises ConfigError for a model whose optimizer is not plain SGD."""
    if manifest.optimizer != PLAIN:
        reason = f"{manifest.name} trains with {manifest.optimizer}; FedSGD needs a model with sgd"
        raise ConfigError("baselines", "fedsgd", reason)


@dataclass(frozen=True)
class _FullBatchTrainer:
    inner: Trainer
    width: int

    def train(
        self, weights: Weights, examples: Examples, *, plan: Plan, rng: np.random.Generator
    ) -> LocalResult:
        chosen = examples.take(rng.permutation(len(examples))[: plan.max_examples])
        now, steps = weights, []
        for _ in range(plan.epochs):
            steps.append(self._step(now, chosen, plan=plan, rng=rng))
            now = Weights(now.spec, now.vector + steps[-1].delta.vector)
        return _after(steps, Weights(now.spec, now.vector - weights.vector))

    def evaluate(self, weights: Weights, examples: Examples) -> Evaluation:
        return self.inner.evaluate(weights, examples)

    def _step(
        self, weights: Weights, examples: Examples, *, plan: Plan, rng: np.random.Generator
    ) -> LocalResult:
        """One step on all examples."""
        once = msgspec.structs.replace(plan, epochs=1, batch_size=self.width)
        places = np.arange(len(examples))
        parts = [
            self.inner.train(
                weights, examples.take(places[at : at + self.width]), plan=once, rng=rng
            )
            for at in range(0, max(1, len(places)), self.width)
        ]
        return _mean(parts)


def _after(steps: list[LocalResult], delta: Weights) -> LocalResult:
    """What several steps came to; the loss is that of the last."""
    if len(steps) == 1:
        return steps[0]
    return replace(
        steps[-1],
        delta=delta,
        steps=sum(step.steps for step in steps),
        deviation=_worst(steps),
    )


def _mean(parts: list[LocalResult]) -> LocalResult:
    """What all parts changed and lost, weighted by their examples."""
    total = sum(part.num_examples for part in parts)
    shares = [part.num_examples / total for part in parts]
    vector = np.zeros_like(parts[0].delta.vector, np.float64)
    for share, part in zip(shares, parts, strict=True):
        vector += share * part.delta.vector
    return replace(
        parts[0],
        delta=Weights(parts[0].delta.spec, vector.astype(np.float32)),
        num_examples=total,
        loss=sum(share * part.loss for share, part in zip(shares, parts, strict=True)),
        steps=sum(part.steps for part in parts),
        deviation=_worst(parts),
    )


def _worst(results: list[LocalResult]) -> float | None:
    return max((one.deviation for one in results if one.deviation is not None), default=None)

"""Golden inputs: drawn from a seed, and again where rounding alone would decide the outcome.

Where two cells of a pooling window nearly tie, or a unit is nearly zero before its ReLU, the
rounding of a runtime decides where the gradient goes. Such inputs tell nothing about it. So when a
nudge of all weights moves what Keras ends in, others are drawn, later on with gentler rates. A deep
model with batch normalization never holds still: its golden vectors then say how far Keras is from
itself, and a runtime may be ``PATIENCE`` times as far.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ...protocol.weights import Vector
from ..training.signatures import Trainee
from .golden import STEPS, Array, Arrays, Golden
from .reference import Batch, Reference, Step

DRAWS, PROBES, PATIENCE = 20, 2, 4.0
DRAWS_PER_RATE, GENTLER = 5, 1 / 16
# A larger share of what the steps changed is no slack; then nothing would be proven.
MOST_MOVED = 0.25


class Drawn(NamedTuple):
    """The inputs of ten steps and an evaluation, and what Keras makes of the steps."""

    steps: list[Step]
    evaluation: Batch
    losses: Array
    weights: list[Vector]


def golden_of(trainee: Trainee, *, seed: int) -> Golden:
    """Draws inputs from ``seed`` and lets Keras train on them; the model is left as it was."""
    reference = Reference(trainee)
    drawn = draw(trainee, reference, seed=seed, number=0)
    for number in range(1, DRAWS):
        if is_steady(trainee, reference, drawn):
            return _golden(reference, drawn, _evaluated(reference, drawn), {})
        drawn = draw(trainee, reference, seed=seed, number=number)
    results = _evaluated(reference, drawn)
    return _golden(reference, drawn, results, _slack(trainee, reference, drawn, results))


def draw(trainee: Trainee, reference: Reference, *, seed: int, number: int) -> Drawn:
    """The inputs of draw ``number``, with Keras's results."""
    rng, size = np.random.default_rng((seed, number)), trainee.batch_size
    batches = [
        _batch(trainee, size, _examples(step, size, is_rough=number >= DRAWS_PER_RATE), rng)
        for step in range(STEPS)
    ]
    rates = np.resize(np.array(trainee.optimizer.rule.golden_rates, np.float32), STEPS)
    rates *= np.float32(GENTLER ** (number // DRAWS_PER_RATE))
    size = trainee.evaluate_batch_size
    evaluation = _batch(trainee, size, max(1, size - 1), rng)
    seeds = rng.integers(-(2**31), 2**31, STEPS).astype(np.int32)
    steps = [Step(*step) for step in zip(batches, rates.tolist(), seeds.tolist(), strict=True)]
    return Drawn(steps, evaluation, *reference.trained(steps))


def is_steady(trainee: Trainee, reference: Reference, drawn: Drawn) -> bool:
    """Whether the steps end in the same weights when all weights begin a few last bits off."""
    wanted, tolerances = drawn.weights[-1], trainee.optimizer.rule.tolerances
    limit = (tolerances.atol + tolerances.rtol * np.abs(wanted)) / 2
    for probe in range(PROBES):
        _, weights = reference.trained(drawn.steps, nudge=np.random.default_rng(probe))
        if (np.abs(weights[-1] - wanted) > limit).any():
            return False
    return True


def _evaluated(
    reference: Reference, drawn: Drawn, nudge: np.random.Generator | None = None
) -> tuple[Arrays, Arrays]:
    """Sums and outputs after the steps; they say nothing about steadiness, hence come last."""
    return reference.evaluated(drawn.evaluation, drawn.weights[-1], nudge=nudge)


def _slack(
    trainee: Trainee, reference: Reference, drawn: Drawn, results: tuple[Arrays, Arrays]
) -> Arrays:
    """How far a runtime may be from Keras beyond the tolerances, by role.

    For weights that is the same within a variable: one number for each. Empty if Keras is too far
    from itself.
    """
    changed = np.linalg.norm(_of_trainable(trainee, drawn.weights[-1] - trainee.layout.vector))
    distances: dict[str, list[Array]] = {}
    for probe in range(PROBES):
        losses, weights = reference.trained(drawn.steps, nudge=np.random.default_rng(probe))
        moved_by = np.linalg.norm(_of_trainable(trainee, weights[-1] - drawn.weights[-1]))
        if moved_by > MOST_MOVED * changed:
            return {}
        nudged = _evaluated(reference, drawn, np.random.default_rng(probe))
        moved = {
            "weights_after_1": _by_variable(trainee, weights[0] - drawn.weights[0]),
            "weights_after_10": _by_variable(trainee, weights[-1] - drawn.weights[-1]),
            "loss": np.max(np.abs(losses - drawn.losses)),
            **{
                name: np.max(np.abs(found[name] - value))
                for found, wanted in zip(nudged, results, strict=True)
                for name, value in wanted.items()
            },
        }
        for role, distance in moved.items():
            distances.setdefault(role, []).append(distance)
    return {role: np.float32(PATIENCE) * np.max(moved, 0) for role, moved in distances.items()}


def _of_trainable(trainee: Trainee, weights: Vector) -> Vector:
    entries = trainee.layout.spec.entries
    parts = [weights[e.offset : e.offset + e.size] for e in entries if e.trainable]
    return np.concatenate(parts)


def _by_variable(trainee: Trainee, moved: Vector) -> Array:
    """The largest distance in each variable of the layout."""
    spec = trainee.layout.spec
    parts = [moved[entry.offset : entry.offset + entry.size] for entry in spec.entries]
    return np.array([np.max(np.abs(part)) for part in parts], np.float32)


def _golden(
    reference: Reference, drawn: Drawn, results: tuple[Arrays, Arrays], slack: Arrays
) -> Golden:
    batches, (sums, outputs) = [step.batch for step in drawn.steps], results
    seeds = np.array([step.seed for step in drawn.steps], np.int32)
    return Golden(
        x=_stacked([batch.x for batch in batches]),
        y=_stacked([batch.y for batch in batches]),
        weight=np.stack([batch.weight for batch in batches]),
        learning_rate=np.array([step.learning_rate for step in drawn.steps], np.float32),
        seed=seeds if reference.is_random else seeds[:0],
        loss=drawn.losses,
        weights_after_1=drawn.weights[0],
        weights_after_10=drawn.weights[-1],
        evaluate_x=drawn.evaluation.x,
        evaluate_y=drawn.evaluation.y,
        evaluate_weight=drawn.evaluation.weight,
        evaluate_sums=sums,
        outputs=outputs,
        slack=slack,
    )


def _examples(step: int, size: int, *, is_rough: bool) -> int:
    """Real examples of a golden batch: every third is padded, the last one to a single example.

    Statistics of a few examples are rough; then one is left out.
    """
    if is_rough:
        return max(1, size - 1) if step % 3 == 2 else size
    if step == STEPS - 1:
        return 1
    return max(1, size - step) if step % 3 == 2 else size


def _batch(trainee: Trainee, size: int, real: int, rng: np.random.Generator) -> Batch:
    x, y, weight = trainee.batch(size)
    inputs = {spec.name: _inputs(trainee.model, spec, rng) for spec in x}
    labels = {
        spec.name: _labels(term.loss.name, spec, term.output.shape[-1] or 1, rng)
        for spec, term in zip(y, trainee.objective.terms, strict=True)
    }
    return Batch(inputs, labels, (np.arange(size) < real).astype(weight.dtype.as_numpy_dtype))


def _stacked(steps: list[Arrays]) -> Arrays:
    return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


def _inputs(model: keras.Model, spec: tf.TensorSpec, rng: np.random.Generator) -> Array:
    if spec.dtype.is_floating:
        return rng.random(tuple(spec.shape), dtype=np.float32)
    layers = model._flatten_layers()
    sizes = [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]
    tokens: Array = rng.integers(0, min(sizes, default=2), tuple(spec.shape))
    return tokens.astype(spec.dtype.as_numpy_dtype)


def _labels(loss: str, spec: tf.TensorSpec, classes: int, rng: np.random.Generator) -> Array:
    shape = tuple(spec.shape)
    if loss == "sparse_categorical_crossentropy":
        return rng.integers(0, classes, shape).astype(np.int32)
    if loss == "categorical_crossentropy":
        one_hot: Array = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, shape[:-1])]
        return one_hot
    if loss == "binary_crossentropy":
        return rng.integers(0, 2, shape).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32)

"""The objective: what a model is trained for, a loss for each output and how much it counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from ...protocol.errors import ExportError
from ..reading.ports import Port, outputs_of
from .losses import Loss, loss_of

OneLoss: TypeAlias = str | keras.losses.Loss
LossChoice: TypeAlias = OneLoss | Mapping[str, OneLoss | None] | Sequence[OneLoss | None]
WeightChoice: TypeAlias = float | Mapping[str, float] | Sequence[float]


@dataclass(frozen=True)
class Term:
    """The loss of the output at ``place``, times ``weight``."""

    place: int
    output: Port
    loss: Loss
    weight: float = 1.0

    def label_spec(self, size: int | None) -> tf.TensorSpec:
        """One batch of this output's labels."""
        name = f"y{self.output.suffix}"
        return self.loss.label_spec((size, *self.output.shape), name=name)


@dataclass(frozen=True)
class Objective:
    """Weighted losses, in the order of the outputs; an output may have none."""

    terms: tuple[Term, ...]

    @property
    def name(self) -> str:
        """The loss of a single output, else ``output:loss`` separated by commas."""
        names = [f"{_key(term.output)}:{term.loss.name}".lstrip(":") for term in self.terms]
        return ",".join(names)

    @property
    def weights(self) -> dict[str, float]:
        """How much each output's loss counts, by output; empty when all count alike."""
        found = {_key(term.output): term.weight for term in self.terms}
        return {} if set(found.values()) == {1.0} else found

    def label_specs(self, size: int | None) -> tuple[tf.TensorSpec, ...]:
        """One batch of labels, for each term."""
        return tuple(term.label_spec(size) for term in self.terms)

    def mean(
        self, labels: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor], weight: tf.Tensor
    ) -> tf.Tensor:
        """The loss of a batch whose examples count as ``weight`` says, []."""
        losses = [
            term.loss.mean(y, outputs[term.place], weight) * term.weight
            for term, y in zip(self.terms, labels, strict=True)
        ]
        return tf.add_n(losses)

    def sums(
        self, labels: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor], weight: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """What ``evaluate`` gives: sums over the examples; ``correct_sum`` is the first term's."""
        pairs = [(term, y, outputs[term.place]) for term, y in zip(self.terms, labels, strict=True)]
        loss_sums = [term.loss.sum(y, out, weight) * term.weight for term, y, out in pairs]
        correct = [
            (f"correct_sum{term.output.suffix}", term.loss.correct_sum(y, out, weight))
            for term, y, out in pairs
        ]
        return {
            "loss_sum": tf.add_n(loss_sums),
            "correct_sum": correct[0][1],
            "weight_sum": tf.reduce_sum(weight),
            **dict(correct),
        }

    def keras_loss(self, labels: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """What Keras's own loss objects make of a batch without padding, []."""
        return tf.add_n(
            [
                term.loss.function(y, outputs[term.place]) * term.weight
                for term, y in zip(self.terms, labels, strict=True)
            ]
        )


def objective_of(
    model: keras.Model, loss: LossChoice, weights: WeightChoice | None = None
) -> Objective:
    """Finds the loss of each output: one for all, by output name, or in the order of the outputs.

    Raises ExportError for a loss no phone has, and for names and numbers that do not fit.
    """
    if _is_listed(loss) and _is_listed(weights) and _by_name(loss) != _by_name(weights):
        raise ExportError("give loss and loss_weights both by output name, or both in order")
    outputs = outputs_of(model)
    losses = _spread(loss, outputs, what="loss", otherwise=None)
    counts = _spread(1.0 if weights is None else weights, outputs, "loss_weights", otherwise=1.0)
    terms = tuple(
        Term(place, output, loss_of(chosen), _number(output, count))
        for place, (output, chosen, count) in enumerate(zip(outputs, losses, counts, strict=True))
        if chosen is not None
    )
    if not terms:
        raise ExportError(f"no output of {model.name} has a loss; give one of them a loss")
    return Objective(terms)


def _spread(choice: Any, outputs: Sequence[Port], what: str, *, otherwise: Any) -> list[Any]:
    """One entry for each output."""
    names = [output.name for output in outputs]
    if isinstance(choice, Mapping):
        for name in choice:
            if name not in names:
                raise ExportError(f"{what} names the output {name!r}, expected {', '.join(names)}")
        return [choice.get(name, otherwise) for name in names]
    if not _is_listed(choice):
        return [choice for _ in outputs]
    if len(choice) != len(outputs):
        raise ExportError(f"{what} has {len(choice)} entries for {len(outputs)} outputs")
    return list(choice)


def _is_listed(choice: Any) -> bool:
    return isinstance(choice, Mapping | list | tuple)


def _by_name(choice: Any) -> bool:
    return isinstance(choice, Mapping)


def _number(output: Port, weight: float) -> float:
    if not isinstance(weight, int | float) or not math.isfinite(weight):
        raise ExportError(f"the loss weight of {output.name} is {weight!r}, expected a number")
    return float(weight)


def _key(output: Port) -> str:
    return output.suffix.removeprefix("_")

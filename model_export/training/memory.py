"""What a training program remembers besides the weights: variables that no file stores.

The slots of the optimizer and its step counter begin at zero and go back there by
``reset_optimizer``; ``set_weights`` leaves them alone. For a proximal term there is also a copy of
the trainable weights as they were received, which only ``set_weights`` changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from .optimizers import Optimizer
from .updates import Gradient, Turn, clipped, decay


@dataclass(frozen=True)
class Memory:
    """The variables by Keras path, and the count of steps for an optimizer that needs one."""

    optimizer: Optimizer
    slots: Mapping[str, tuple[tf.Variable, ...]]
    steps: tf.Variable | None
    received: Mapping[str, tf.Variable]
    proximal: float

    @classmethod
    def of(
        cls, optimizer: Optimizer, weights: Sequence[keras.Variable], *, proximal: float
    ) -> Memory:
        """Makes the variables for the trainable ``weights``; what was received are these."""
        return cls(
            optimizer,
            slots={weight.path: _slots(optimizer.rule.slots, weight) for weight in weights},
            steps=_zeros((), "steps") if optimizer.rule.is_counting else None,
            received={w.path: _copy(w) for w in weights} if proximal else {},
            proximal=proximal,
        )

    @property
    def resettable(self) -> list[tf.Variable]:
        """What ``reset_optimizer`` zeroes; empty for an optimizer that remembers nothing."""
        counters = [] if self.steps is None else [self.steps]
        return [slot for slots in self.slots.values() for slot in slots] + counters

    @property
    def variables(self) -> list[tf.Variable]:
        return [*self.resettable, *self.received.values()]

    def step(
        self,
        weights: Sequence[keras.Variable],
        gradients: Sequence[Gradient],
        *,
        learning_rate: tf.Tensor,
        is_real: tf.Tensor,
    ) -> None:
        """Takes one step of the optimizer; none for a batch that is padding only."""
        count = tf.constant(1.0) if self.steps is None else self.steps + 1.0
        rate = learning_rate * is_real
        options = self.optimizer.options
        for weight, gradient in zip(weights, clipped(options, [*gradients]), strict=True):
            decay(options, weight.value, rate)
            slots = self.slots[weight.path]
            turn = Turn(weight.value, gradient, slots, rate, count=count, is_real=is_real)
            self.optimizer.rule.step(options, turn)
        if self.steps is not None:
            self.steps.assign_add(is_real)

    def reset(self) -> tf.Tensor:
        """Zeroes slots and count; returns their sum, for a signature must return something."""
        for variable in self.resettable:
            variable.assign(tf.zeros_like(variable))
        return tf.add_n([tf.reduce_sum(variable) for variable in self.resettable])

    def receive(self, path: str, value: tf.Tensor) -> None:
        """Notes a weight that ``set_weights`` sets."""
        if path in self.received:
            self.received[path].assign(value)

    def proximal_term(self, weights: Sequence[keras.Variable], is_real: tf.Tensor) -> tf.Tensor:
        """mu/2 ||w - w_received||^2 of FedProx (arXiv 1812.06127, equation 2)."""
        moved = [weight.value - self.received[weight.path] for weight in weights]
        squares = tf.add_n([tf.reduce_sum(tf.square(part)) for part in moved])
        return self.proximal / 2 * squares * is_real


def _slots(names: Sequence[str], weight: keras.Variable) -> tuple[tf.Variable, ...]:
    return tuple(_zeros(tuple(weight.shape), f"{weight.path}/{name}") for name in names)


def _zeros(shape: tuple[int, ...], name: str) -> tf.Variable:
    return tf.Variable(tf.zeros(shape), trainable=False, name=name)


def _copy(weight: keras.Variable) -> tf.Variable:
    return tf.Variable(
        tf.convert_to_tensor(weight.value), trainable=False, name=f"{weight.path}/received"
    )

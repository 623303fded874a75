"""The optimizers a phone can step with, each beside the Keras optimizer it must equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from ..protocol.artifact import Tolerances
from ..protocol.errors import ExportError

Step = Callable[[Sequence[tf.Variable], Sequence[tf.Tensor], tf.Tensor], None]


@dataclass(frozen=True)
class Optimizer:
    """``step(variables, gradients, learning_rate)`` assigns; ``reference`` is Keras's class.

    ``tolerances`` bound how far ten steps on a phone may lie from ten steps of the reference.
    """

    name: str
    step: Step
    reference: Callable[[], keras.optimizers.Optimizer]
    tolerances: Tolerances


def optimizer_of(name: str) -> Optimizer:
    """Finds an optimizer; raises ExportError for a name that is not in ``OPTIMIZERS``."""
    if name not in OPTIMIZERS:
        raise ExportError(f"got the optimizer {name!r}, expected one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name]


def _sgd(
    variables: Sequence[tf.Variable], gradients: Sequence[tf.Tensor], learning_rate: tf.Tensor
) -> None:
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign_sub(learning_rate * gradient)


OPTIMIZERS: Mapping[str, Optimizer] = {
    "sgd": Optimizer("sgd", _sgd, keras.optimizers.SGD, Tolerances(atol=1e-6, rtol=1e-5)),
}

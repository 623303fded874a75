"""What travels: the float variables that training changes, in the order of the model.

These are the trainable weights, and whatever else a training step assigns to, such as the moving
statistics of a batch normalization that trains. Every other float variable is frozen: the model
file holds it once, and neither a checkpoint nor a delta carries it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...protocol.weights import Vector, WeightSpec
from ..training.flow import Flow, handle_of
from .inspection import float_variables


@dataclass(frozen=True)
class Layout:
    """The float variables of a model, apart by whether they travel.

    ``needed`` are the frozen ones that the backward pass reads too.
    """

    travelling: tuple[keras.Variable, ...]
    frozen: tuple[keras.Variable, ...]
    needed: tuple[keras.Variable, ...]

    @classmethod
    def of(
        cls, model: keras.Model, step: Callable[..., Any], inputs: Sequence[tf.TensorSpec]
    ) -> Layout:
        """Splits the variables of ``model`` by what ``step``, its pass in training, does."""
        flow = Flow.of(step, inputs, model.trainable_variables)
        changing, variables = flow.trainable | flow.assigned, float_variables(model)
        frozen = tuple(v for v in variables if handle_of(v) not in changing)
        return cls(
            travelling=tuple(v for v in variables if handle_of(v) in changing),
            frozen=frozen,
            needed=tuple(v for v in frozen if handle_of(v) in flow.needed),
        )

    @property
    def spec(self) -> WeightSpec:
        """The layout of the flat vector, by Keras path."""
        return WeightSpec.of(
            {variable.path: tuple(variable.shape) for variable in self.travelling},
            frozen=frozenset(v.path for v in self.travelling if not v.trainable),
        )

    @property
    def vector(self) -> Vector:
        """The weights now, as the flat vector of ``spec``."""
        flat = [np.reshape(variable.numpy(), -1) for variable in self.travelling]
        return np.concatenate(flat).astype(np.float32, copy=False)

    def assign(self, vector: Vector) -> None:
        """Sets the weights from the flat vector of ``spec``."""
        for variable, entry in zip(self.travelling, self.spec.entries, strict=True):
            part = vector[entry.offset : entry.offset + entry.size]
            variable.assign(part.reshape(entry.shape))

    @property
    def frozen_weights(self) -> int:
        """Number of float32 elements that do not travel."""
        return sum(math.prod(variable.shape) for variable in self.frozen)

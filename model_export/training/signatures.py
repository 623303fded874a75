"""The training program: what a phone can call, traced from a Keras model and lowered.

``train`` takes the step Keras takes on the examples whose weight is 1; examples of weight 0 pad
the static batch and change nothing. The weights go in and out as one flat vector; what the
optimizer remembers does neither, ``reset_optimizer`` zeroes it. If the step draws random numbers,
``train`` takes one more input, the ``seed`` they all come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import keras
import tensorflow as tf

from ...protocol.artifact import Signature, Storage, TensorSpec
from ...protocol.errors import UnsupportedLayer
from ...protocol.weights import WeightSpec
from ..lowering import TABLE, Lowering, is_random, lowered, seeded
from ..reading.inspection import place_of
from ..reading.layout import Layout
from ..reading.ports import called, inputs_of, outputs_of
from ..recurrence import loops_unrolled
from .frozen import constants, held
from .losses import Loss
from .memory import Memory
from .objective import Objective, Term
from .optimizers import Optimizer
from .padding import padding_filled, padding_left_out
from .randomness import SEED, seeds_left_alone

Outputs = dict[str, tf.Tensor]
Tensors = tuple[tf.Tensor, ...]


@dataclass(frozen=True)
class Program:
    """The lowered functions by signature name; ``module`` owns the variables they use.

    ``traced_train`` is ``train`` as it was before, with TensorFlow's own ops.
    """

    module: tf.Module
    functions: Mapping[str, Any]
    spec: WeightSpec
    memory: Memory
    traced_train: Any

    def signatures(self) -> dict[str, Signature]:
        """What the manifest says about the functions."""
        return {name: _describe(function) for name, function in self.functions.items()}


@dataclass(frozen=True)
class Trainee:
    """A model with all that decides how it is trained and stored.

    ``loss`` is an objective for each output, or the loss of the one; ``proximal`` is the mu of
    FedProx.
    """

    model: keras.Model
    loss: Loss | Objective
    optimizer: Optimizer
    batch_size: int
    evaluate_batch_size: int
    proximal: float = 0.0
    storage: Storage = "float32"

    @cached_property
    def layout(self) -> Layout:
        """What travels and what is frozen, as the model's flags are at the first question."""
        step = partial(self.outputs, training=True)
        return Layout.of(self.model, step, self.batch(self.batch_size)[:1])

    @property
    def objective(self) -> Objective:
        if isinstance(self.loss, Objective):
            return self.loss
        return Objective((Term(0, outputs_of(self.model)[0], self.loss),))

    def outputs(self, x: Tensors, *, training: bool) -> Tensors:
        return called(self.model, x, training=training)

    def batch(self, size: int | None) -> list[Any]:
        """The specs of x, y and weight for a batch of ``size`` examples, None for any number."""
        return [
            tuple(port.spec("x", size) for port in inputs_of(self.model)),
            self.objective.label_specs(size),
            tf.TensorSpec((size,), tf.float32, name="weight"),
        ]


def trace(trainee: Trainee) -> Program:
    """Traces and lowers every signature; raises NotLowered for an op that has no lowering."""
    module = tf.Module()
    memory = Memory.of(
        trainee.optimizer, trainee.model.trainable_variables, proximal=trainee.proximal
    )
    # Keras variables are not tf.Variables; only what a module holds itself is saved with a value.
    module.tracked = [variable.value for variable in trainee.model.variables]
    module.memory = memory.variables
    layout = trainee.layout
    kept = held(layout, storage=trainee.storage)
    lower = partial(_lower, table={**TABLE, **constants(layout.frozen, besides=kept)})
    train = trainee.batch(trainee.batch_size)
    evaluate = trainee.batch(trainee.evaluate_batch_size)
    with loops_unrolled(trainee.model, trains=True):
        step = [*train, _named("learning_rate", ())]
        traced_train = _traced(_train(trainee, memory), step)
        functions = {"train": lower(traced_train, step, takes_seed=True)}
    with loops_unrolled(trainee.model, trains=False):
        functions["evaluate"] = lower(_traced(_evaluate(trainee), evaluate), evaluate)
        functions["infer"] = lower(_traced(_infer(trainee), evaluate[:1]), evaluate[:1])
    functions["get_weights"] = lower(_traced(_get_weights(layout), []), [])
    flat = [_named("weights", (layout.spec.size,))]
    functions["set_weights"] = lower(_traced(_set_weights(layout, memory, kept), flat), flat)
    if memory.resettable:
        reset = _traced(lambda: {"checksum": memory.reset()}, [])
        functions["reset_optimizer"] = lower(reset, [])
    return Program(module, functions, layout.spec, memory, traced_train)


def evaluation_without_loops(trainee: Trainee) -> Any:
    """``evaluate``, traced but not lowered, with recurrent layers unrolled as in ``train``."""
    with loops_unrolled(trainee.model, trains=True):
        return _traced(_evaluate(trainee), trainee.batch(trainee.evaluate_batch_size))


def _traced(step: Callable[..., Outputs], inputs: Sequence[Any]) -> Any:
    with seeds_left_alone():
        return tf.function(step, autograph=False).get_concrete_function(*inputs)


def _lower(
    traced: Any,
    inputs: Sequence[Any],
    table: Mapping[str, Lowering],
    *,
    takes_seed: bool = False,
) -> Any:
    """Emits a traced step again in ops a phone has, with each input by its name.

    A seed is the last input of a step that draws random numbers and ``takes_seed``.
    """
    emit, flat = lowered, tf.nest.flatten(inputs)
    if takes_seed and is_random(traced.graph):
        emit, flat = seeded, [*flat, SEED]
    emitted = tf.function(emit(traced, table), input_signature=flat, autograph=False)
    return emitted.get_concrete_function()


def _train(trainee: Trainee, memory: Memory) -> Callable[..., Outputs]:
    variables = trainee.model.trainable_variables

    def train(x: Tensors, y: Tensors, weight: tf.Tensor, learning_rate: tf.Tensor) -> Outputs:
        is_real = tf.cast(tf.reduce_sum(weight) > 0, tf.float32)
        real = padding_filled(trainee.model, x, weight)
        with tf.GradientTape() as tape, padding_left_out(trainee.model, weight):
            loss = trainee.objective.mean(y, trainee.outputs(real, training=True), weight)
            loss += _penalty(trainee.model, weight)
            if trainee.proximal:
                loss += memory.proximal_term(variables, is_real)
        sources = [variable.value for variable in variables]
        reached = [
            (variable, gradient)
            for variable, gradient in zip(variables, tape.gradient(loss, sources), strict=True)
            if gradient is not None
        ]
        memory.step(
            [variable for variable, _ in reached],
            [gradient for _, gradient in reached],
            learning_rate=learning_rate,
            is_real=is_real,
        )
        _constrain(variables, weight)
        return {"loss": loss}

    return train


def _evaluate(trainee: Trainee) -> Callable[..., Outputs]:
    def evaluate(x: Tensors, y: Tensors, weight: tf.Tensor) -> Outputs:
        """Sums over the examples, without regularizers; divide by weight_sum for the means."""
        real = padding_filled(trainee.model, x, weight)
        outputs = trainee.outputs(real, training=False)
        return trainee.objective.sums(y, outputs, weight)

    return evaluate


def _infer(trainee: Trainee) -> Callable[..., Outputs]:
    names = [f"outputs{port.suffix}" for port in outputs_of(trainee.model)]

    def infer(x: Tensors) -> Outputs:
        return dict(zip(names, trainee.outputs(x, training=False), strict=True))

    return infer


def _get_weights(layout: Layout) -> Callable[[], Outputs]:
    def get_weights() -> Outputs:
        flat = [tf.reshape(variable.value, [-1]) for variable in layout.travelling]
        return {"weights": tf.concat(flat, 0)}

    return get_weights


def _set_weights(
    layout: Layout, memory: Memory, kept: Sequence[keras.Variable]
) -> Callable[[tf.Tensor], Outputs]:
    first = [(variable, variable.numpy()) for variable in kept]

    def set_weights(weights: tf.Tensor) -> Outputs:
        """The sum is there because the converter drops a function that returns nothing."""
        for variable, entry in zip(layout.travelling, layout.spec.entries, strict=True):
            part = weights[entry.offset : entry.offset + entry.size]
            value = tf.reshape(part, entry.shape)
            variable.value.assign(value)
            memory.receive(variable.path, value)
        for variable, value in first:
            variable.value.assign(value)
        return {"checksum": tf.reduce_sum(weights)}

    return set_weights


def _penalty(model: keras.Model, weight: tf.Tensor) -> tf.Tensor | float:
    """Regularizers, as Keras adds them; nothing for a batch that is padding only."""
    for layer in model._flatten_layers():
        if layer._get_own_losses():
            raise UnsupportedLayer(
                f"{place_of(layer)} calls add_loss, and what it adds sums over padding too; make "
                "it an output with a loss of its own"
            )
    if not model.losses:
        return 0.0
    return tf.add_n(model.losses) * tf.cast(tf.reduce_sum(weight) > 0, tf.float32)


def _constrain(variables: Sequence[keras.Variable], weight: tf.Tensor) -> None:
    """Constraints, as Keras applies them after a step; none after a batch that is padding only."""
    has_examples = tf.reduce_sum(weight) > 0
    for variable in variables:
        if variable.constraint is not None:
            value = tf.convert_to_tensor(variable.value)
            variable.value.assign(tf.where(has_examples, variable.constraint(value), value))


def _named(name: str, shape: tuple[int, ...]) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.float32, name=name)


def _describe(function: Any) -> Signature:
    inputs = {spec.name: spec for spec in function.structured_input_signature[0]}
    return Signature(inputs=_specs(inputs), outputs=_specs(function.structured_outputs))


def _specs(tensors: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=name, dtype=tensor.dtype.name, shape=tuple(tensor.shape))
        for name, tensor in tensors.items()
    )

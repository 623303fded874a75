"""Recurrent cells by hand: their outputs and gradients are Keras's, in a loop and without one."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pocketfed.model_export.recurrence import loops_unrolled
from pocketfed.model_export.recurrence.looping import STRETCH

layers = keras.layers
LAYERS = {
    "SimpleRNN": lambda **options: layers.SimpleRNN(3, **options),
    "SimpleRNN, relu": lambda **options: layers.SimpleRNN(3, activation="relu", **options),
    "GRU": lambda **options: layers.GRU(3, **options),
    "GRU, sigmoid and relu": lambda **options: layers.GRU(
        3, activation="sigmoid", recurrent_activation="relu", **options
    ),
    "LSTM": lambda **options: layers.LSTM(3, **options),
    "LSTM, relu": lambda **options: layers.LSTM(3, activation="relu", **options),
}
OPTIONS = {
    "last output": {},
    "all outputs and the state": {"return_sequences": True, "return_state": True},
    "backwards, the state": {"go_backwards": True, "return_state": True},
}
EXAMPLES, FEATURES = 2, 4


def model_of(layer: Callable[..., keras.layers.Layer], *, time: int, **options: bool):
    """A model of one layer that starts where its second input says."""
    keras.utils.set_random_seed(5)
    built = layer(**options, bias_initializer="normal")
    x = keras.Input((time, FEATURES))
    start = [keras.Input((3,)) for _ in tf.nest.flatten(built.cell.state_size)]
    return keras.Model([x, *start], built(x, initial_state=start))


def draw(model: keras.Model, seed: int = 0) -> list[tf.Tensor]:
    rng = np.random.default_rng(seed)
    shapes = [(EXAMPLES, *tensor.shape[1:]) for tensor in model.inputs]
    return [tf.constant(rng.normal(size=shape).astype(np.float32)) for shape in shapes]


def gradients(model: keras.Model, inputs: list[tf.Tensor], *, unrolls: bool):
    """Outputs and all gradients, unrolled in a traced function as an export makes it."""

    @tf.function(autograph=False)
    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = tf.nest.flatten(model(list(inputs), training=True))
            total = tf.add_n([tf.reduce_sum(tf.sin(output)) for output in outputs])
        sources = [*inputs, *(variable.value for variable in model.trainable_variables)]
        return outputs, tape.gradient(total, sources)

    if not unrolls:
        return step.python_function(*inputs)
    with loops_unrolled(model, trains=True):
        return step(*inputs)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("layer", LAYERS)
def test_outputs_and_gradients_are_those_of_keras_loop(layer: str, options: str) -> None:
    model = model_of(LAYERS[layer], time=4, **OPTIONS[options])
    wanted = gradients(model, draw(model), unrolls=False)
    found = gradients(model, draw(model), unrolls=True)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(time=st.integers(1, 3 * STRETCH), is_backwards=st.booleans(), keeps_all=st.booleans())
def test_a_loop_of_stretches_ends_as_keras_loop(
    time: int, is_backwards: bool, keeps_all: bool
) -> None:
    options = {"go_backwards": is_backwards, "return_sequences": keeps_all, "return_state": True}
    model = model_of(LAYERS["GRU"], time=time, **options)
    inputs = draw(model, seed=time)
    with loops_unrolled(model, trains=False):
        found = tf.function(lambda: model(inputs, training=False), autograph=False)()
    for one, other in zip(found, model(inputs, training=False), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def test_a_long_sequence_loops_unless_it_trains() -> None:
    model = model_of(LAYERS["LSTM"], time=3 * STRETCH)

    def kinds(*, trains: bool) -> set[str]:
        with loops_unrolled(model, trains=trains):
            traced = tf.function(lambda: model(draw(model)), autograph=False)
            operations = traced.get_concrete_function().graph.get_operations()
        return {op.type for op in operations}

    assert "StatelessWhile" in kinds(trains=False)
    assert "StatelessWhile" not in kinds(trains=True)


def test_each_weight_gets_its_gradient_from_one_product() -> None:
    time = 6
    model = model_of(LAYERS["LSTM"], time=time, return_sequences=True)
    inputs = draw(model)

    def step():
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(inputs, training=True))
        return tape.gradient(total, [v.value for v in model.trainable_variables])

    with loops_unrolled(model, trains=True):
        graph = tf.function(step, autograph=False).get_concrete_function().graph
    bodies = [graph, *(graph._get_function(name).graph for name in graph._functions)]
    products = [op for body in bodies for op in body.get_operations() if "MatMul" in op.type]
    forward_and_back = 2 * time
    assert 0 < len(products) <= forward_and_back + 4


def test_the_model_is_given_back_as_it_was() -> None:
    model = keras.Sequential([keras.Input((4, 2)), layers.Bidirectional(layers.LSTM(3))])
    found = [layer for layer in model._flatten_layers() if isinstance(layer, layers.LSTM)]
    with loops_unrolled(model, trains=True):
        assert all(layer.unroll and "inner_loop" in vars(layer) for layer in found)
    assert len(found) == 2
    assert not any(layer.unroll or "inner_loop" in vars(layer) for layer in found)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.GRU(3, reset_after=False),
        lambda: layers.LSTM(3, recurrent_activation="hard_sigmoid"),
        lambda: layers.RNN([layers.GRUCell(3), layers.SimpleRNNCell(2)]),
        lambda: layers.LSTM(3, dropout=0.5),
    ],
)
def test_a_cell_that_is_not_known_by_hand_is_unrolled_by_keras(layer) -> None:
    time = 4
    model = keras.Sequential([keras.Input((time, 2)), layer()])
    x = tf.ones((2, time, 2))
    with loops_unrolled(model, trains=True):
        traced = tf.function(lambda: model(x, training=True), autograph=False)
        graph = traced.get_concrete_function().graph
    products = [op for op in graph.get_operations() if op.type == "MatMul"]
    kinds = {op.type for op in graph.get_operations()}
    assert len(products) >= 2 * time
    assert not {"While", "StatelessWhile"} & kinds

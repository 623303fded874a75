"""Re-emission of traced functions: order of effects, nested functions, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from pocketfed.model_export.lowering import TABLE, VERBATIM, NotLowered, lowered


def emit(step, *specs: tf.TensorSpec):
    traced = tf.function(step, autograph=False).get_concrete_function(*specs)
    emitted = tf.function(lowered(traced, TABLE), autograph=False)
    return emitted.get_concrete_function(*specs)


def test_reads_and_writes_keep_their_order() -> None:
    variable = tf.Variable(1.0)

    def step(x):
        before = variable.read_value()
        variable.assign(before * 10 + x)
        between = variable.read_value()
        variable.assign(between * 10 + x)
        return {"before": before, "between": between, "after": variable.read_value()}

    result = emit(step, tf.TensorSpec(()))(tf.constant(2.0))
    assert {name: value.numpy() for name, value in result.items()} == {
        "before": 1.0,
        "between": 12.0,
        "after": 122.0,
    }
    assert variable.numpy() == 122.0


def test_an_assignment_inside_a_nested_function_happens_and_is_seen_after_it() -> None:
    variable = tf.Variable(1.0)

    @tf.function(autograph=False)
    def nested(x):
        variable.assign_add(x)
        return x * 2

    def step(x):
        doubled = nested(x)
        return {"doubled": doubled, "variable": variable.read_value()}

    emitted = emit(step, tf.TensorSpec(()))
    result = emitted(tf.constant(3.0))
    assert (result["doubled"].numpy(), result["variable"].numpy()) == (6.0, 4.0)
    assert not [op for op in emitted.graph.get_operations() if "Call" in op.type]


def test_gradients_through_a_nested_function_are_lowered_too() -> None:
    @tf.function(autograph=False)
    def nested(x):
        return tf.nn.relu(x) ** 2

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = nested(x)
        return tape.gradient(y, x)

    emitted = emit(step, tf.TensorSpec((3,)))
    assert "ReluGrad" not in {op.type for op in emitted.graph.get_operations()}
    np.testing.assert_allclose(emitted(tf.constant([-1.0, 2.0, 3.0])), [0.0, 4.0, 6.0])


def test_a_loop_is_emitted_with_its_body_lowered() -> None:
    def step(x):
        return tf.while_loop(lambda i: i < 3.0, lambda i: (tf.add_n([i, x]),), [x])

    emitted = emit(step, tf.TensorSpec(()))
    (loop,) = [op for op in emitted.graph.get_operations() if op.type == "StatelessWhile"]
    body = emitted.graph._get_function(loop.get_attr("body").name).graph
    assert "AddN" not in {op.type for op in body.get_operations()}
    assert emitted(tf.constant(1.0))[0].numpy() == 3.0


def test_a_loop_that_grows_lists_for_its_gradient_is_refused() -> None:
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            (y,) = tf.while_loop(lambda i: i < 3.0, lambda i: (i * x,), [x])
        return tape.gradient(y, x)

    with pytest.raises(NotLowered, match="loops and branches"):
        emit(step, tf.TensorSpec(()))


def test_a_loop_and_its_gradient_are_kept_for_a_function_that_tensorflow_runs() -> None:
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y * x), [0, x])[1]
        return tape.gradient(y, x)

    traced = tf.function(step, autograph=False).get_concrete_function(tf.TensorSpec(()))
    emitted = tf.function(lowered(traced, VERBATIM), input_signature=[tf.TensorSpec(())])
    assert emitted(2.0).numpy() == 4 * 2.0**3
    kinds = {op.type for op in emitted.get_concrete_function().graph.get_operations()}
    assert kinds & {"While", "StatelessWhile"}


def test_an_op_whose_output_nobody_uses_is_left_out() -> None:
    def step(x):
        tf.math.erf(x)
        return x + 1

    kinds = {op.type for op in emit(step, tf.TensorSpec(())).graph.get_operations()}
    assert "AddV2" in kinds
    assert "Exp" not in kinds


def test_a_lowering_of_ones_own_reaches_forward_ops() -> None:
    traced = tf.function(tf.math.erf).get_concrete_function(tf.TensorSpec((2,)))
    table = {"Erf": lambda op, x: tf.tanh(x)}
    emitted = tf.function(lowered(traced, table)).get_concrete_function(tf.TensorSpec((2,)))
    x = tf.constant([0.5, -2.0])
    np.testing.assert_allclose(emitted(x), tf.tanh(x))

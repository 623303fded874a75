"""Every lowering against TF's own kernel, on random values and on values full of ties."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.model_export.lowering import TABLE, lowered

SMOOTH, TIES = "random values", "values full of ties"


def values(shape: tuple[int, ...], kind: str, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == TIES:
        return rng.integers(-1, 2, shape).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32)


def trace(step, *arrays: np.ndarray):
    specs = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
    return tf.function(step, autograph=False).get_concrete_function(*specs)


def both(step, *arrays: np.ndarray) -> SimpleNamespace:
    """What ``step`` gives as TF runs it, and what it gives once it is lowered."""
    inputs = [tf.constant(array) for array in arrays]
    traced = trace(step, *arrays)
    emitted = trace(lowered(traced, TABLE), *arrays)
    return SimpleNamespace(
        expected=traced(*inputs).numpy(),
        got=emitted(*inputs).numpy(),
        kinds={op.type for op in emitted.graph.get_operations()},
    )


ACTIVATION_GRADS = {
    "ReluGrad": lambda dy, x: tf.raw_ops.ReluGrad(gradients=dy, features=x),
    "Relu6Grad": lambda dy, x: tf.raw_ops.Relu6Grad(gradients=dy, features=x * 6),
    "LeakyReluGrad": lambda dy, x: tf.raw_ops.LeakyReluGrad(gradients=dy, features=x, alpha=0.3),
    "EluGrad": lambda dy, x: tf.raw_ops.EluGrad(gradients=dy, outputs=x),
    "SeluGrad": lambda dy, x: tf.raw_ops.SeluGrad(gradients=dy, outputs=x),
    "SoftsignGrad": lambda dy, x: tf.raw_ops.SoftsignGrad(gradients=dy, features=x),
}


@pytest.mark.parametrize("kind", [SMOOTH, TIES])
@pytest.mark.parametrize("op", ACTIVATION_GRADS)
def test_activation_gradient_equals_the_kernel_also_at_its_kinks(op: str, kind: str) -> None:
    result = both(
        ACTIVATION_GRADS[op], values((64, 9), SMOOTH, seed=1), values((64, 9), kind, seed=2)
    )
    assert op not in result.kinds
    np.testing.assert_allclose(result.got, result.expected, rtol=1e-6, atol=1e-7)


POOLS = [
    ((2, 2), (2, 2), (7, 5)),
    ((3, 3), (2, 2), (9, 8)),
    ((3, 2), (1, 1), (5, 6)),
    ((2, 3), (3, 2), (8, 9)),
    ((1, 1), (2, 2), (5, 6)),
    ((3, 3), (4, 4), (11, 9)),
]


@pytest.mark.parametrize("kind", [SMOOTH, TIES])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("ksize", "strides", "side"), POOLS)
def test_max_pool_gradient_picks_the_maximum_the_kernel_picks(
    ksize, strides, side, padding: str, kind: str
) -> None:
    image = values((2, *side, 3), kind)
    pooled = tf.nn.max_pool2d(image, ksize, strides, padding).numpy()

    def step(x, y, dy):
        return tf.raw_ops.MaxPoolGrad(
            orig_input=x,
            orig_output=y,
            grad=dy,
            ksize=[1, *ksize, 1],
            strides=[1, *strides, 1],
            padding=padding,
        )

    result = both(step, image, pooled, values(pooled.shape, SMOOTH, seed=3))
    assert "MaxPoolGrad" not in result.kinds
    np.testing.assert_allclose(result.got, result.expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("ksize", "strides", "side"), POOLS)
def test_average_pool_gradient_counts_only_cells_inside_the_image(
    ksize, strides, side, padding: str
) -> None:
    pooled = tf.nn.avg_pool2d(np.zeros((2, *side, 3), np.float32), ksize, strides, padding)

    def step(dy):
        return tf.raw_ops.AvgPoolGrad(
            orig_input_shape=[2, *side, 3],
            grad=dy,
            ksize=[1, *ksize, 1],
            strides=[1, *strides, 1],
            padding=padding,
        )

    result = both(step, values(tuple(pooled.shape), SMOOTH, seed=3))
    assert "AvgPoolGrad" not in result.kinds
    np.testing.assert_allclose(result.got, result.expected, rtol=1e-6, atol=1e-6)


CONVOLUTIONS = [
    ((3, 3), (1, 1), (6, 8)),
    ((3, 3), (2, 2), (9, 8)),
    ((3, 2), (2, 3), (10, 11)),
    ((1, 1), (2, 2), (6, 5)),
    ((2, 4), (3, 1), (8, 7)),
]


def convolution_with_gradients(strides, padding):
    """Output, image gradient and kernel gradient of a convolution, as one vector."""

    def step(image, kernel, dy):
        with tf.GradientTape() as tape:
            tape.watch([image, kernel])
            output = tf.nn.conv2d(image, kernel, strides, padding)
        gradients = tape.gradient(output, [image, kernel], dy)
        return tf.concat([tf.reshape(part, [-1]) for part in (output, *gradients)], 0)

    return step


def convolve(ksize, strides, side, padding, *, channels=(3, 4)):
    image = values((2, *side, channels[0]), SMOOTH)
    kernel = values((*ksize, *channels), SMOOTH, seed=1)
    output = tf.nn.conv2d(image, kernel, strides, padding)
    gradient = values(tuple(output.shape), SMOOTH, seed=2)
    return both(convolution_with_gradients(strides, padding), image, kernel, gradient)


@pytest.mark.parametrize("padding", ["SAME", "VALID", [[0, 0], [2, 1], [0, 2], [0, 0]]])
@pytest.mark.parametrize(("ksize", "strides", "side"), CONVOLUTIONS)
def test_convolution_and_its_gradients_equal_the_kernels(ksize, strides, side, padding) -> None:
    result = convolve(ksize, strides, side, padding)
    assert not {kind for kind in result.kinds if kind.startswith("Conv")}
    np.testing.assert_allclose(result.got, result.expected, rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_dilated_convolution_equals_one_with_holes_in_its_kernel(padding: str) -> None:
    """TF has no CPU kernel for the gradients of a dilated one, hence the detour."""

    def with_holes(kernel):
        rows = tf.stack([kernel, tf.zeros_like(kernel)], axis=1)
        return tf.reshape(rows, (6, *kernel.shape[1:]))[:5]

    def step(image, kernel, dy, *, is_dilated: bool):
        with tf.GradientTape() as tape:
            tape.watch([image, kernel])
            if is_dilated:
                output = tf.nn.conv2d(image, kernel, 1, padding, dilations=(2, 1))
            else:
                output = tf.nn.conv2d(image, with_holes(kernel), 1, padding)
        gradients = tape.gradient(output, [image, kernel], dy)
        return tf.concat([tf.reshape(part, [-1]) for part in (output, *gradients)], 0)

    image, kernel = values((2, 9, 8, 3), SMOOTH), values((3, 3, 3, 4), SMOOTH, seed=1)
    output = tf.nn.conv2d(image, kernel, 1, padding, dilations=(2, 1))
    arrays = image, kernel, values(tuple(output.shape), SMOOTH, seed=2)
    expected = step(*(tf.constant(array) for array in arrays), is_dilated=False)
    traced = trace(partial(step, is_dilated=True), *arrays)
    got = trace(lowered(traced, TABLE), *arrays)(*map(tf.constant, arrays))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=3e-5)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    ksize=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    side=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    padding=st.sampled_from(["SAME", "VALID"]),
)
def test_any_convolution_equals_the_kernels(ksize, strides, side, padding) -> None:
    result = convolve(ksize, strides, side, padding, channels=(2, 3))
    np.testing.assert_allclose(result.got, result.expected, rtol=1e-5, atol=3e-5)

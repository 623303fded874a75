"""Lowerings against TF's own kernels, and what LiteRT makes of what they emit."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from pocketfed.model_export.converting.converter import converted
from pocketfed.model_export.lowering import TABLE, NotLowered, lowered
from pocketfed.model_export.proving.lint import lint
from pocketfed.runtime import Runtime, quietly


def values(shape: tuple[int, ...], *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def emit(step, *arrays: np.ndarray) -> SimpleNamespace:
    """``step`` as TF runs it, and as LiteRT runs it once it is lowered."""
    specs = [tf.TensorSpec(a.shape, a.dtype, name=f"x{i}") for i, a in enumerate(arrays)]
    traced = tf.function(step, autograph=False).get_concrete_function(*specs)
    emitted = tf.function(lowered(traced, TABLE), input_signature=specs, autograph=False)
    with quietly():
        emitted = emitted.get_concrete_function()
        model = converted(tf.Module(), {"run": emitted})
        runtime = Runtime(model)
    inputs = {f"x{i}": array for i, array in enumerate(arrays)}
    return SimpleNamespace(
        expected=traced(*map(tf.constant, arrays)).numpy(),
        emitted=emitted(*map(tf.constant, arrays)).numpy(),
        phone=next(iter(runtime.call("run", inputs).values())),
        kinds={op.type for op in emitted.graph.get_operations()},
        builtins=set(lint(model).ops),
    )


def require_equal(result: SimpleNamespace, *, atol: float = 1e-6, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(result.emitted, result.expected, rtol=rtol, atol=atol)
    np.testing.assert_allclose(result.phone, result.expected, rtol=rtol, atol=atol)


def gradients(function):
    """The gradients of a function for the gradient that comes last, as one vector."""

    def step(*inputs):
        *sources, upstream = inputs
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs = function(*sources)
        found = tape.gradient(outputs, sources, upstream)
        return tf.concat([tf.reshape(gradient, [-1]) for gradient in found], 0)

    return step


def differentiate(function, *arrays: np.ndarray) -> SimpleNamespace:
    shape = function(*map(tf.constant, arrays)).shape
    return emit(gradients(function), *arrays, values(tuple(shape), seed=9))


SLICES = {
    "a range": np.s_[1:4],
    "every second": np.s_[::2],
    "backwards": np.s_[::-1],
    "backwards in steps": np.s_[4:0:-2, ::-1],
    "steps on every side": np.s_[::2, 1::3, ::-3, 1:],
    "after an ellipsis": np.s_[..., 1:],
    "one cell": np.s_[2],
    "the last cell": np.s_[:, -1],
    "a new side": np.s_[:, None, 1:3, ..., ::3],
    "a new side between": np.s_[-2:, ..., None, 0],
    "cells and steps": np.s_[1:2, 2:3, 3, ::-2],
    "bounds outside": np.s_[-9:9, 3:-9:-1],
}


@pytest.mark.parametrize("name", SLICES)
def test_slice_gradient_equals_the_kernel(name: str) -> None:
    result = differentiate(lambda x: x[SLICES[name]], values((5, 6, 4, 3)))
    assert "StridedSliceGrad" not in result.kinds
    require_equal(result, atol=0, rtol=0)


def test_slice_gradient_of_six_sides_stays_within_five() -> None:
    """TFLite's PAD takes five sides at most."""
    step = gradients(lambda x: tf.reshape(x, (2, 2, 2, 2, 3, 4))[:, 1:, :, :1, 2, 1:])
    result = emit(step, values((2, 2, 2, 24)), values((2, 1, 2, 1, 3)))
    require_equal(result, atol=0, rtol=0)


def test_a_slice_with_computed_bounds_is_refused() -> None:
    def step(x, at):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x[at : at + 1]
        return tape.gradient(y, x)

    with pytest.raises(NotLowered, match="bounds are computed"):
        emit(step, values((3, 2)), np.array(1, np.int32))


DEPTHWISE = [
    ((3, 3), 1, "SAME", 1),
    ((3, 2), 2, "VALID", 1),
    ((2, 3), 3, "SAME", 2),
    ((1, 1), 2, "VALID", 3),
]


@pytest.mark.parametrize(("ksize", "stride", "padding", "multiplier"), DEPTHWISE)
def test_depthwise_gradients_equal_the_kernels(ksize, stride, padding, multiplier) -> None:
    result = differentiate(
        lambda image, kernel: tf.nn.depthwise_conv2d(
            image, kernel, [1, stride, stride, 1], padding
        ),
        values((2, 7, 6, 3)),
        values((*ksize, 3, multiplier), seed=1),
    )
    assert not {kind for kind in result.kinds if "Backprop" in kind}
    require_equal(result, atol=3e-5)


def test_depthwise_gradients_of_more_channels_than_a_call_takes_equal_the_kernels() -> None:
    """8 x 700 channels in one call would never return."""
    result = differentiate(
        lambda image, kernel: tf.nn.depthwise_conv2d(image, kernel, [1, 1, 1, 1], "SAME"),
        values((8, 3, 3, 700)),
        values((3, 3, 700, 1), seed=1),
    )
    require_equal(result, atol=3e-5)


@pytest.mark.parametrize("dilation", [(2, 2), (3, 3)])
def test_dilated_depthwise_gradients_equal_those_of_a_kernel_with_holes(dilation) -> None:
    """TF writes a dilated one in other ops, so the ops are made by hand."""
    image, kernel = values((2, 9, 8, 3)), values((3, 2, 3, 2), seed=1)
    rows, columns = 2 * dilation[0] + 1, dilation[1] + 1
    holes = np.zeros((rows, columns, 3, 2), np.float32)
    holes[:: dilation[0], :: dilation[1]] = kernel
    shape = tf.nn.depthwise_conv2d(image, holes, [1, 1, 1, 1], "SAME").shape
    upstream = values(tuple(shape), seed=2)
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}

    def expected(image, holes, dy):
        by_image = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=image.shape, filter=holes, out_backprop=dy, **options
        )
        by_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=image, filter_sizes=holes.shape, out_backprop=dy, **options
        )[:: dilation[0], :: dilation[1]]
        return tf.concat([tf.reshape(by_image, [-1]), tf.reshape(by_kernel, [-1])], 0)

    def step(image, kernel, dy):
        dilated = {**options, "dilations": [1, *dilation, 1]}
        by_image = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=image.shape, filter=kernel, out_backprop=dy, **dilated
        )
        by_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=image, filter_sizes=kernel.shape, out_backprop=dy, **dilated
        )
        return tf.concat([tf.reshape(by_image, [-1]), tf.reshape(by_kernel, [-1])], 0)

    arrays = image, kernel, upstream
    specs = [tf.TensorSpec(array.shape) for array in arrays]
    traced = tf.function(step).get_concrete_function(*specs)
    got = tf.function(lowered(traced, TABLE))(*map(tf.constant, arrays))
    wanted = expected(*map(tf.constant, (image, holes, upstream)))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=3e-5)


PRODUCTS = [(10, 20, 30), (30, 4, 20), (2, 30, 30), (1, 7, 9), (5, 1, 6), (5, 6, 1), (1, 1, 1)]


@pytest.mark.parametrize(("rows", "inner", "columns"), PRODUCTS)
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_a_product_equals_the_kernel_whatever_is_turned(rows, inner, columns, turned) -> None:
    first = values((inner, rows) if turned[0] else (rows, inner))
    second = values((columns, inner) if turned[1] else (inner, columns), seed=1)
    result = emit(lambda a, b: tf.matmul(a, b, *turned), first, second)
    require_equal(result, atol=1e-5)


def test_the_input_gradient_of_a_dense_layer_keeps_off_the_slow_kernel() -> None:
    shapes = {"many rows": (60, 8, 12), "many weights": (4, 30, 40)}
    for rows, inner, columns in shapes.values():
        first, second = values((rows, inner)), values((columns, inner))
        result = emit(lambda a, b: tf.matmul(a, b, transpose_b=True), first, second)
        assert "FULLY_CONNECTED" not in result.builtins


def test_the_gradient_of_a_pointwise_convolution_is_a_product_and_nothing_else() -> None:
    result = differentiate(
        lambda image, kernel: tf.nn.conv2d(image, kernel, 1, "SAME"),
        values((2, 5, 4, 6)),
        values((1, 1, 6, 3), seed=1),
    )
    assert not {"SPLIT", "PAD", "SLICE"} & result.builtins
    require_equal(result, atol=3e-5)


@pytest.mark.parametrize(("groups", "stride"), [(2, 1), (3, 2), (6, 1)])
def test_grouped_convolution_equals_a_convolution_of_each_group(groups, stride) -> None:
    """TF has no CPU kernel for the gradients of a grouped one, hence the detour."""

    def apart(image, kernel):
        images, kernels = tf.split(image, groups, 3), tf.split(kernel, groups, 3)
        parts = zip(images, kernels, strict=True)
        return tf.concat([tf.nn.conv2d(i, k, stride, "SAME") for i, k in parts], 3)

    def together(image, kernel):
        return tf.nn.conv2d(image, kernel, stride, "SAME")

    arrays = values((2, 7, 6, 6)), values((3, 2, 6 // groups, 12), seed=1)
    shape = apart(*map(tf.constant, arrays)).shape
    arrays = *arrays, values(tuple(shape), seed=2)
    expected = gradients(apart)(*map(tf.constant, arrays))
    specs = [tf.TensorSpec(array.shape) for array in arrays]
    traced = tf.function(gradients(together)).get_concrete_function(*specs)
    emitted = tf.function(lowered(traced, TABLE)).get_concrete_function(*specs)
    np.testing.assert_allclose(emitted(*map(tf.constant, arrays)), expected, rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize("size", [(7, 4), (3, 11), (10, 12), (1, 1)])
@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_resize_gradient_equals_the_kernel(method: str, size: tuple[int, int]) -> None:
    result = differentiate(lambda x: tf.image.resize(x, size, method), values((2, 5, 6, 3)))
    assert not {kind for kind in result.kinds if kind.endswith("Grad")}
    require_equal(result, atol=2e-6)


@pytest.mark.parametrize("sides", [(0, 2, 4), (-1,), (1, 3, 5), (0, 1, 2, 3, 4, 5)])
@pytest.mark.parametrize("keepdims", [True, False])
def test_a_sum_over_six_sides_equals_the_kernel(sides: tuple[int, ...], keepdims: bool) -> None:
    def step(x):
        wide = tf.reshape(x, (2, 3, 1, 2, 2, 2))
        return tf.reshape(tf.reduce_sum(wide, sides, keepdims=keepdims), [-1]) * 1.0

    require_equal(emit(step, values((2, 3, 8))))


@pytest.mark.parametrize(
    ("function", "true", "limit"),
    [(tf.math.erf, math.erf, 1.5e-7), (tf.math.erfc, math.erfc, 2.5e-7)],
    ids=["erf", "erfc"],
)
def test_error_functions_are_as_exact_as_float32(function, true, limit: float) -> None:
    """TF's own float32 erf is 3.6e-7 away from the true one."""
    x = np.linspace(-7, 7, 100_001, dtype=np.float32)
    result = emit(lambda x: function(x), x)
    assert not {"Erf", "Erfc"} & result.kinds
    exact = np.vectorize(true)(x.astype(np.float64))
    for got in (result.emitted, result.phone):
        assert np.max(np.abs(got - exact)) <= limit
        assert np.max(np.abs(got - result.expected)) <= 4e-7


def test_erfc_keeps_its_digits_where_it_is_tiny() -> None:
    x = np.linspace(1, 8, 1001, dtype=np.float32)
    result = emit(lambda x: tf.math.erfc(x), x)
    exact = np.vectorize(math.erfc)(x.astype(np.float64))
    np.testing.assert_allclose(result.phone, exact, rtol=5e-6)

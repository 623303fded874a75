"""What the lowerings of convolutions and products cost beside TFLite's own operator for them.

A lowering is chosen for all shapes at once; this is what the choice rests on, and where to look
when a runtime gets a faster kernel. Operands are inputs, as variable as weights are; one thread,
both ways in turn. The figure is lowering / operator, the ratio of the fastest calls, which other
programs disturb least: below 1 the lowering is faster. TFLite has no filter gradients; a
convolution is therefore also timed together with its own, which gathers the same windows.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import app, flags
from ai_edge_litert.interpreter import Interpreter
from pocketfed.model_export.lowering import TABLE, Lowering, lowered
from pocketfed.runtime import quietly
from results import Result, show

QUICK = flags.DEFINE_bool("quick", False, "fewer samples: ends within a minute")
JSON = flags.DEFINE_string("json", None, "file for the results, a list of records")

Shape = tuple[int, ...]


class Case(NamedTuple):
    """A computation on inputs of static shapes, and the op type whose lowering is in question."""

    name: str
    op: str
    step: Callable[..., Any]
    shapes: tuple[Shape, ...]


# Image, kernel and stride of layers in the paper's models and in MobileNetV2 0.35 at 96 pixels.
CONVOLUTIONS: tuple[tuple[Shape, Shape, int], ...] = (
    ((10, 28, 28, 1), (5, 5, 1, 32), 1),
    ((10, 14, 14, 32), (5, 5, 32, 64), 1),
    ((10, 24, 24, 3), (5, 5, 3, 64), 1),
    ((8, 96, 96, 3), (3, 3, 3, 16), 2),
    ((8, 24, 24, 48), (1, 1, 48, 8), 1),
    ((8, 3, 3, 112), (1, 1, 112, 1280), 1),
)
# Batch, inputs and units of dense layers.
DENSE = ((10, 784, 200), (10, 3136, 512), (800, 256, 90), (10, 1280, 1000))


def cases() -> Iterator[Case]:
    for image, kernel, stride in CONVOLUTIONS:
        output = (image[0], -(-image[1] // stride), -(-image[2] // stride), kernel[3])
        where = f"{_text(image[1:])} by {_text(kernel)} / {stride}"
        forward = partial(_convolved, stride=stride)
        yield Case(f"convolution, {where}", "Conv2D", forward, (image, kernel))
        both = partial(_convolved_with_gradient, stride=stride)
        yield Case(f"with filter gradient, {where}", "Conv2D", both, (image, kernel, output))
        back = partial(_image_gradient, image=image, stride=stride)
        yield Case(f"image gradient, {where}", "Conv2DBackpropInput", back, (kernel, output))
    for batch, inputs, units in DENSE:
        shapes = (batch, units), (inputs, units)
        name = f"dense input gradient, {_text((batch, inputs, units))}"
        yield Case(name, "MatMul", partial(tf.matmul, transpose_b=True), shapes)


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _convolved(image: tf.Tensor, kernel: tf.Tensor, *, stride: int) -> tf.Tensor:
    return tf.nn.conv2d(image, kernel, stride, "SAME")


def _convolved_with_gradient(
    image: tf.Tensor, kernel: tf.Tensor, gradient: tf.Tensor, *, stride: int
) -> tf.Tensor:
    by_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=image,
        filter_sizes=kernel.shape,
        out_backprop=gradient,
        strides=[1, stride, stride, 1],
        padding="SAME",
    )
    output = _convolved(image, kernel, stride=stride)
    return tf.concat([tf.reshape(output, [-1]), tf.reshape(by_kernel, [-1])], 0)


def _image_gradient(
    kernel: tf.Tensor, gradient: tf.Tensor, *, image: Shape, stride: int
) -> tf.Tensor:
    return tf.raw_ops.Conv2DBackpropInput(
        input_sizes=image,
        filter=kernel,
        out_backprop=gradient,
        strides=[1, stride, stride, 1],
        padding="SAME",
    )


def compare(case: Case, *, samples: int) -> Result:
    """How many times longer the lowering takes than the operator."""
    without = {kind: lowering for kind, lowering in TABLE.items() if kind != case.op}
    calls = [_call(case, TABLE), _call(case, without)]
    times_s: list[list[float]] = [[], []]
    for turn in range(samples + 3):
        for call, kept in zip(calls, times_s, strict=True):
            began = time.perf_counter()
            call()
            if turn >= 3:
                kept.append(time.perf_counter() - began)
    return Result(case.name, min(times_s[0]) / min(times_s[1]), "x", samples)


def _call(case: Case, table: Mapping[str, Lowering]) -> Callable[[], object]:
    """Runs the case on the phones' runtime, lowered with ``table``; its inputs stay in place."""
    rng = np.random.default_rng(0)
    names = [f"x{place}" for place in range(len(case.shapes))]
    specs = [
        tf.TensorSpec(shape, name=name) for name, shape in zip(names, case.shapes, strict=True)
    ]
    with quietly():
        traced = tf.function(case.step, autograph=False).get_concrete_function(*specs)
        emit = tf.function(lowered(traced, table), input_signature=specs, autograph=False)
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [emit.get_concrete_function()], tf.Module()
        )
        interpreter = Interpreter(model_content=bytes(converter.convert()), num_threads=1)
        interpreter.allocate_tensors()
    places = interpreter.get_signature_runner("serving_default").get_input_details()
    for name, shape in zip(names, case.shapes, strict=True):
        interpreter.set_tensor(places[name]["index"], rng.random(shape, np.float32))
    invoke: Callable[[], object] = interpreter.invoke
    return invoke


def main(_: list[str]) -> None:
    samples = 20 if QUICK.value else 200
    show([compare(case, samples=samples) for case in cases()], JSON.value)


if __name__ == "__main__":
    app.run(main)

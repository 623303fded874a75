"""What each codec makes of a delta: milliseconds, size, and how far the decoded delta is off.

The delta is that of one phone: a 784-200-200-10 network, one pass of SGD over 600 images in batches
of ten. The images are strokes on a black ground whose border no stroke reaches, so that, as with
written digits, the weights of dead pixels do not move. NumPy alone: no data set is fetched. The
error is the L2 norm of what was lost over that of the delta.
"""

import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import numpy as np
from absl import app, flags
from pocketfed.protocol import wire
from pocketfed.protocol.codecs import ENCODINGS, codec_named
from pocketfed.protocol.weights import Weights, WeightSpec
from results import Result, show

QUICK = flags.DEFINE_bool("quick", False, "fewer samples: ends within a minute")
JSON = flags.DEFINE_string("json", None, "file for the results, a list of records")

SIDES = (784, 200, 200, 10)
SPEC = WeightSpec.of(
    {
        name: shape
        for i, (rows, columns) in enumerate(pairwise(SIDES))
        for name, shape in ((f"{i}/kernel", (rows, columns)), (f"{i}/bias", (columns,)))
    }
)


def main(_: list[str]) -> None:
    delta = trained_delta(np.random.default_rng(0))
    idle = float(np.mean(delta.vector == 0.0))
    results = [Result("elements that did not move", 100 * idle, "%", 1)]
    for family in ENCODINGS:
        results += measure(family.replace("topk", "topk:0.01"), delta, 3 if QUICK.value else 21)
    show(results, JSON.value)


def measure(name: str, delta: Weights, samples: int) -> list[Result]:
    """Times a codec, rounding at random as a phone does."""
    codec, rng = codec_named(name), np.random.default_rng(1)
    body = codec.encode(delta, rng)
    lost = codec.decode(body, delta.spec) - delta.vector
    error = float(np.linalg.norm(lost) / np.linalg.norm(delta.vector))
    encode_ms = median_ms(lambda: codec.encode(delta, rng), samples)
    decode_ms = median_ms(lambda: codec.decode(body, delta.spec), samples)
    return [
        Result(f"{name}: encode", encode_ms, "ms", samples),
        Result(f"{name}: decode", decode_ms, "ms", samples),
        Result(f"{name}: float32 / body", wire.encoded_bytes(delta.spec) / len(body), "x", 1),
        Result(f"{name}: relative error", error, "", 1),
    ]


def median_ms(call: Callable[[], object], samples: int) -> float:
    times_ms = []
    for _ in range(samples):
        began = time.perf_counter()
        call()
        times_ms.append((time.perf_counter() - began) * 1e3)
    return median(times_ms)


def trained_delta(rng: np.random.Generator) -> Weights:
    """Trained minus received, after one pass of softmax regression on two hidden layers."""
    x, y = strokes(rng, count=600)
    received = Weights(SPEC, np.zeros(SPEC.size, np.float32))
    for layer, (rows, columns) in enumerate(pairwise(SIDES)):
        limit = np.sqrt(6.0 / (rows + columns))
        received[f"{layer}/kernel"][...] = rng.uniform(-limit, limit, (rows, columns))
    trained = Weights(SPEC, received.vector.copy())
    for begin in range(0, len(x), 10):
        descend(trained, x[begin : begin + 10], y[begin : begin + 10], rate=0.1)
    return Weights(SPEC, trained.vector - received.vector)


def descend(weights: Weights, x: np.ndarray, y: np.ndarray, *, rate: float) -> None:
    """One step of SGD on the mean cross-entropy, in place."""
    layers = range(len(SIDES) - 1)
    inputs = [x]
    for layer in layers:
        outputs = inputs[-1] @ weights[f"{layer}/kernel"] + weights[f"{layer}/bias"]
        inputs.append(np.maximum(outputs, 0.0) if layer < layers[-1] else outputs)
    odds = np.exp(inputs[-1] - inputs[-1].max(axis=1, keepdims=True))
    gradient = odds / odds.sum(axis=1, keepdims=True)
    gradient[np.arange(len(y)), y] -= 1.0
    gradient /= len(y)
    for layer in reversed(layers):
        below = gradient @ weights[f"{layer}/kernel"].T * (inputs[layer] > 0.0)
        weights[f"{layer}/kernel"][...] -= rate * inputs[layer].T @ gradient
        weights[f"{layer}/bias"][...] -= rate * gradient.sum(axis=0)
        gradient = below


def strokes(rng: np.random.Generator, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of shape [count, 784] in 0 to 1, and their classes.

    A class is a path of six points; an image is a blurred stroke along it, drawn with a tremor
    inside the middle 20 x 20 pixels.
    """
    paths = rng.uniform(5.0, 23.0, (10, 6, 2))
    y = rng.integers(0, 10, count)
    along = np.linspace(0.0, 5.0, 40)
    step = np.minimum(along.astype(int), 4)
    share = (along - step)[None, :, None]
    points = paths[y] + rng.normal(0.0, 0.7, (count, 6, 2))
    walk = points[:, step] * (1.0 - share) + points[:, step + 1] * share
    walk = np.clip(walk, 4.5, 23.5)
    images = np.zeros((count, 28, 28))
    for row in range(4, 24):
        for column in range(4, 24):
            distance = ((walk - (row, column)) ** 2).sum(axis=2).min(axis=1)
            images[:, row, column] = np.maximum(0.0, 1.0 - distance / 2.0)
    return images.reshape(count, 784).astype(np.float32), y


if __name__ == "__main__":
    app.run(main)

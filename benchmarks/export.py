"""How long a training step takes on the phones' runtime, beside the same step in TensorFlow.

One thread, batches of ten, both in this process and taken in turn, so that a slow moment of the
machine meets both. TensorFlow's step is a tf.function called from Python on the same Keras model.
The ratio is that of the medians.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from absl import app, flags
from pocketfed.model_export import ZOO, export_zoo
from pocketfed.protocol.artifact import Artifact
from pocketfed.runtime import Runtime
from results import Result, show

QUICK = flags.DEFINE_bool("quick", False, "fewer samples: ends within a minute")
JSON = flags.DEFINE_string("json", None, "file for the results, a list of records")


def main(_: list[str]) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ZOO:
            artifact = export_zoo(name, out=Path(folder) / name)
            results += compare(name, artifact, samples=20 if QUICK.value else 100)
    show(results, JSON.value)


def compare(name: str, artifact: Artifact, *, samples: int) -> list[Result]:
    """Milliseconds of both, and how many times longer the phones' runtime takes."""
    inputs = batch_of(artifact)
    runtime = Runtime(artifact.model)
    phone, reference = in_turn(
        lambda: runtime.train(inputs), tensorflow_step(name, inputs), samples=samples
    )
    ratio = median(phone) / median(reference)
    size = artifact.manifest.files["model.tflite"].bytes
    weights = 4 * artifact.manifest.weight_spec.size
    return [
        Result(f"{name}: LiteRT step", median(phone), "ms", samples),
        Result(f"{name}: TensorFlow step", median(reference), "ms", samples),
        Result(f"{name}: LiteRT / TensorFlow", ratio, "x", samples),
        Result(f"{name}: file / weights", size / weights, "x", 1),
    ]


def batch_of(artifact: Artifact) -> dict[str, np.ndarray]:
    """One full random batch, as ``train`` takes it."""
    rng = np.random.default_rng(0)
    specs = {spec.name: spec for spec in artifact.manifest.signatures["train"].inputs}
    count = artifact.manifest.batch_size
    return {
        "x": rng.random(specs["x"].shape, np.float32),
        "y": rng.integers(0, len(artifact.manifest.labels), count).astype(np.int32),
        "weight": np.ones(count, np.float32),
        "learning_rate": np.array(0.01, np.float32),
    }


def tensorflow_step(name: str, inputs: dict[str, np.ndarray]) -> Callable[[], object]:
    """The same SGD step as a tf.function, called from Python."""
    import tensorflow as tf

    entry = ZOO[name]
    model, loss = entry.build(0), entry.loss()
    variables = [variable.value for variable in model.trainable_variables]
    x, y = tf.constant(inputs["x"]), tf.constant(inputs["y"])
    rate = tf.constant(inputs["learning_rate"])

    @tf.function
    def step(x, y, rate):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
            variable.assign_sub(rate * gradient)
        return value

    return lambda: step(x, y, rate).numpy()


def in_turn(
    first: Callable[[], object], second: Callable[[], object], *, samples: int
) -> tuple[list[float], list[float]]:
    """Times both alternately, in milliseconds, after three calls that do not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(samples + 3):
        for call, kept in zip((first, second), times, strict=True):
            began = time.perf_counter()
            call()
            if turn >= 3:
                kept.append((time.perf_counter() - began) * 1e3)
    return times


if __name__ == "__main__":
    app.run(main)

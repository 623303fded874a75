"""What an export costs, and how long a training step takes beside the same one in TensorFlow.

Steps: one thread, batches of ten, both in this process and taken in turn, so that a slow moment of
the machine meets both. TensorFlow's step is a tf.function called from Python on the same Keras
model; the ratio is that of the medians. Conversions (from a Keras model to a .tflite): each in a
process of its own, whose peak of resident memory is that of tracing and converting.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from absl import app, flags
from pocketfed.model_export import ZOO, export_zoo, zoo_model
from pocketfed.model_export.proving.golden import Golden
from pocketfed.protocol.artifact import GOLDEN, MODEL, Artifact
from pocketfed.runtime import Runtime
from results import Result, show

QUICK = flags.DEFINE_bool("quick", False, "fewer samples: ends within a minute")
JSON = flags.DEFINE_string("json", None, "file for the results, a list of records")


QUICK_MODELS = ["mnist_2nn", "mnist_cnn"]
MODELS = flags.DEFINE_list("models", None, "models of the zoo; by default all, of --quick two")


def main(_: list[str]) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS.value or (QUICK_MODELS if QUICK.value else ZOO):
            results += conversion(name)
            artifact = export_zoo(name, out=Path(folder) / name)
            results += compare(name, artifact, samples=20 if QUICK.value else 60)
    show(results, JSON.value)


def conversion(name: str) -> list[Result]:
    """Seconds and memory from the Keras model to a .tflite that is not proven yet."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as child:
        seconds, peak_mib = child.submit(converted, name).result()
    return [
        Result(f"{name}: conversion", seconds, "s", 1),
        Result(f"{name}: peak RSS of the conversion", peak_mib, "MiB", 1),
    ]


def converted(name: str) -> tuple[float, float]:
    from pocketfed.model_export.converting.convert import convert
    from pocketfed.model_export.training.losses import loss_of
    from pocketfed.model_export.training.optimizers import optimizer_of
    from pocketfed.model_export.training.signatures import Trainee, trace
    from pocketfed.runtime import quietly

    entry = ZOO[name]
    sizes = entry.batch_size, entry.evaluate_batch_size
    with quietly():
        trainee = Trainee(zoo_model(name), loss_of(entry.loss()), optimizer_of("sgd"), *sizes)
        began = time.perf_counter()
        convert(trace(trainee))
    seconds = time.perf_counter() - began
    return seconds, peak_rss_mib()


def peak_rss_mib() -> float:
    """Of this process alone; what getrusage says begins with the peak of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) / 1024


def compare(name: str, artifact: Artifact, *, samples: int) -> list[Result]:
    """Milliseconds of both, and how many times longer the phones' runtime takes."""
    inputs = Golden.from_bytes(artifact.bytes_of(GOLDEN)).step(0)
    runtime = Runtime(artifact.model)
    phone, reference = in_turn(
        lambda: runtime.train(inputs), tensorflow_step(name, inputs), samples=samples
    )
    ratio = median(phone) / median(reference)
    size = artifact.manifest.files[MODEL].bytes
    weights = 4 * artifact.manifest.weight_spec.size
    return [
        Result(f"{name}: LiteRT step", median(phone), "ms", samples),
        Result(f"{name}: TensorFlow step", median(reference), "ms", samples),
        Result(f"{name}: LiteRT / TensorFlow", ratio, "x", samples),
        Result(f"{name}: file / weights", size / weights, "x", 1),
    ]


def tensorflow_step(name: str, inputs: dict[str, np.ndarray]) -> Callable[[], object]:
    """The same SGD step as a tf.function, called from Python."""
    import tensorflow as tf

    model, loss = zoo_model(name), ZOO[name].loss()
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

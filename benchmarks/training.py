"""What a simulated phone costs: its local training, by trainer, on one thread of one process.

The 2NN: ten phones of 600 examples each, one pass in batches of ten, by ``litert`` and by ``graph``
in turn. The CNN: the steps of ``graph`` beside those of a bare TensorFlow loop over the same
batches, Keras's model and loss with plain SGD, all inside one tf.function. Processor time; ratios
are medians of the ratios of neighbours, so that a slow moment of the machine meets both.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As the graph trainer has it, for the bare loop as well.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from pocketfed.device_sim.data.examples import Examples
from pocketfed.device_sim.training.graph_trainer import GraphTrainer
from pocketfed.device_sim.training.trainers import LiteRTTrainer, Trainer
from pocketfed.model_export import ZOO, export_zoo, zoo_model
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.plan import Plan
from results import Result

PHONES, EXAMPLES, BATCH = 10, 600, 10


def both(folder: Path, *, is_quick: bool) -> list[Result]:
    """The phones of the 2NN, and the steps of the CNN."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    results = trainers(folder, samples=2 if is_quick else 10)
    return results + bare_loop(folder, samples=4 if is_quick else 15)


def trainers(folder: Path, *, samples: int) -> list[Result]:
    """Phones per second and milliseconds per step of both trainers, for the 2NN."""
    artifact = export_zoo("mnist_2nn", out=folder / "trained_2nn", graph=True)
    phones = [drawn(EXAMPLES, seed=device) for device in range(PHONES)]
    litert = training(LiteRTTrainer(artifact.model, artifact.manifest), artifact)
    graph = training(GraphTrainer(artifact.graph, artifact.manifest), artifact)
    times = in_turn(
        [lambda: [litert(each) for each in phones], lambda: [graph(each) for each in phones]],
        samples=samples,
    )
    steps = PHONES * EXAMPLES // BATCH
    found = []
    for name, seconds in zip(("litert", "graph"), times, strict=True):
        found += [
            Result(f"2NN, {name}: phones", PHONES / median(seconds), "1/s", samples),
            Result(f"2NN, {name}: step", median(seconds) / steps * 1e3, "ms", samples),
        ]
    return [*found, Result("2NN: litert / graph", ratio(*times), "x", samples)]


def bare_loop(folder: Path, *, samples: int) -> list[Result]:
    """Milliseconds per step of the graph trainer and of a bare loop, for the CNN."""
    artifact = export_zoo("mnist_cnn", out=folder / "cnn", graph=True)
    examples = drawn(20 * BATCH, seed=0)
    litert = training(LiteRTTrainer(artifact.model, artifact.manifest), artifact)
    graph = training(GraphTrainer(artifact.graph, artifact.manifest), artifact)
    bare = bare_training("mnist_cnn", artifact)
    times = in_turn([lambda call=call: call(examples) for call in (litert, graph, bare)], samples)
    steps = len(examples) // BATCH
    return [
        *(
            Result(f"CNN, {name}: step", median(seconds) / steps * 1e3, "ms", samples)
            for name, seconds in zip(("litert", "graph", "bare loop"), times, strict=True)
        ),
        Result("CNN: litert / graph", ratio(times[0], times[1]), "x", samples),
        Result("CNN: graph / bare loop", ratio(times[1], times[2]), "x", samples),
    ]


def drawn(count: int, *, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
    return Examples(x, rng.integers(0, 10, count).astype(np.int32))


def training(trainer: Trainer, artifact: Artifact) -> Callable[[Examples], object]:
    plan = Plan(epochs=1, batch_size=BATCH, learning_rate=0.05)
    weights = artifact.checkpoint

    def train(examples: Examples) -> object:
        return trainer.train(weights, examples, plan=plan, rng=np.random.default_rng(0))

    return train


def bare_training(name: str, artifact: Artifact) -> Callable[[Examples], object]:
    """One pass as one would write it in TensorFlow by hand: variables, a tape, a while loop."""
    import tensorflow as tf

    model, loss = zoo_model(name), ZOO[name].loss()
    variables = [variable.value for variable in model.trainable_variables]

    @tf.function(reduce_retracing=True)
    def one_pass(x, y, places):
        for mine in places:
            with tf.GradientTape() as tape:
                value = loss(tf.gather(y, mine), model(tf.gather(x, mine), training=True))
            for variable, slope in zip(variables, tape.gradient(value, variables), strict=True):
                variable.assign_sub(0.05 * slope)

    def train(examples: Examples) -> object:
        order = np.random.default_rng(0).permutation(len(examples)).astype(np.int32)
        inputs = examples.inputs(artifact.manifest.input_scale)
        one_pass(
            tf.constant(inputs), tf.constant(examples.y), tf.constant(order.reshape(-1, BATCH))
        )
        return variables[0].numpy()

    return train


def in_turn(calls: list[Callable[[], object]], samples: int) -> list[list[float]]:
    """Processor seconds of each, taken alternately, after one round that does not count."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(samples + 1):
        for call, kept in zip(calls, times, strict=True):
            began = time.process_time()
            call()
            if turn:
                kept.append(time.process_time() - began)
    return times


def ratio(first: list[float], second: list[float]) -> float:
    return median(a / b for a, b in zip(first, second, strict=True))

"""graph.pb: pure functions that take the very steps of the lowered program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from pocketfed.model_export import export
from pocketfed.model_export.reading.scope import scoped
from pocketfed.model_export.training.graph import graph_of
from pocketfed.model_export.training.objective import objective_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Program, Trainee, trace
from pocketfed.protocol.artifact import GRAPH, MANIFEST, Artifact
from pocketfed.protocol.errors import DamagedArtifact, ExportError
from pocketfed.runtime import quietly

layers = keras.layers
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BATCH, EVALUATE_BATCH, STEPS, RATE = 4, 5, 4, 0.05
Arrays = dict[str, np.ndarray]


class Pure:
    """The functions of a graph, called with arrays by name; it holds nothing between calls."""

    def __init__(self, graph: bytes) -> None:
        definition = tf.compat.v1.GraphDef.FromString(graph)
        self.ops = [node.op for node in definition.node]
        self._all = tf.compat.v1.wrap_function(
            lambda: tf.graph_util.import_graph_def(definition, name=""), []
        )
        names = [node.name for node in definition.node]
        self.inputs, self._outputs = (
            {
                which: [n.split("/", 2)[2] for n in names if n.startswith(f"{which}/{side}/")]
                for which in ("train", "evaluate")
            }
            for side in ("in", "out")
        )

    def call(self, which: str, inputs: Arrays) -> Arrays:
        ins, outs = sorted(inputs), self._outputs[which]
        graph = self._all.graph
        pruned = self._all.prune(
            [graph.get_tensor_by_name(f"{which}/in/{name}:0") for name in ins],
            [graph.get_tensor_by_name(f"{which}/out/{name}:0") for name in outs],
        )
        found = pruned(*(tf.constant(inputs[name]) for name in ins))
        return {name: value.numpy() for name, value in zip(outs, found, strict=True)}

    def first(self, program: Program, vector: np.ndarray) -> Arrays:
        """The state before the first step: weights, their copies, and slots of zeros."""
        entries, state = program.spec.entries, {}
        graph = self._all.graph
        for name in self.inputs["train"]:
            role, _, place = name.partition("/")
            if role in ("weights", "received"):
                entry = entries[int(place)]
                state[name] = vector[entry.offset :][: entry.size].reshape(entry.shape)
            elif role == "slots":
                shape = graph.get_tensor_by_name(f"train/in/{name}:0").shape
                state[name] = np.zeros(shape, np.float32)
        return state


def sequential(*parts: Any, shape: tuple[int, ...] = (6,), dtype: str | None = None) -> Any:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *parts, layers.Dense(3)])


def dense(*middle: Any) -> keras.Model:
    return sequential(layers.Dense(5, activation="relu"), *middle)


def convolutional() -> keras.Model:
    parts = (
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.DepthwiseConv2D(3),
        layers.Flatten(),
    )
    return sequential(*parts, shape=(8, 8, 2))


def recurrent(*, dropout: float = 0.0) -> keras.Model:
    """Long enough for ``evaluate`` to loop, with steps that are masked out."""
    parts = (layers.Embedding(7, 4, mask_zero=True), layers.LSTM(5, dropout=dropout))
    return sequential(*parts, shape=(23,), dtype="int32")


def restrained() -> keras.Model:
    return sequential(
        layers.Dense(5, trainable=False),
        layers.Dense(5, "relu", kernel_regularizer=keras.regularizers.L2(0.1)),
        layers.Dense(5, kernel_constraint=keras.constraints.MaxNorm(0.5)),
    )


def of_two() -> keras.Model:
    """Two inputs, two outputs."""
    one, other = keras.Input((6,), name="one"), keras.Input((2, 3), name="other")
    both = layers.Concatenate()([one, layers.Flatten()(other)])
    return keras.Model([one, other], [layers.Dense(3, name="a")(both), layers.Dense(3)(both)])


CASES: dict[str, tuple[Callable[[], keras.Model], dict[str, Any]]] = {
    "dense": (dense, {}),
    "convolutional": (convolutional, {}),
    "restrained": (restrained, {}),
    "batch normalization": (lambda: dense(layers.BatchNormalization()), {}),
    "dropout": (lambda: dense(layers.Dropout(0.5), layers.GaussianNoise(0.1)), {}),
    "momentum": (dense, {"optimizer": "nesterov"}),
    "adam": (dense, {"optimizer": keras.optimizers.AdamW(0.01, global_clipnorm=0.5)}),
    "proximal": (dense, {"optimizer": "momentum", "proximal": 0.3}),
    "recurrent": (lambda: recurrent(dropout=0.3), {"optimizer": "adam"}),
    "of two": (of_two, {}),
    "head": (lambda: dense(layers.BatchNormalization()), {"trainable": "head"}),
    "lora": (dense, {"trainable": "lora:2", "optimizer": "adam"}),
}


def made(
    build: Callable[[], keras.Model],
    *,
    optimizer: Any = "sgd",
    proximal: float = 0.0,
    trainable: str = "full",
) -> tuple[Trainee, Program, bytes]:
    keras.utils.set_random_seed(4)
    model = build()
    with quietly(), scoped(model, trainable, seed=0) as lent:
        sizes = BATCH, EVALUATE_BATCH
        loss = objective_of(lent, LOGITS)
        trainee = Trainee(lent, loss, optimizer_of(optimizer), *sizes, proximal)
        program = trace(trainee)
        return trainee, program, graph_of(trainee, program)


def drawn(program: Program, which: str, *, real: int, seed: int) -> Arrays:
    """A batch for a signature, with labels and tokens that every model here knows."""
    rng, inputs = np.random.default_rng(seed), {}
    for spec in program.signatures()[which].inputs:
        array = rng.integers(1 - spec.name.startswith("y"), 3, spec.shape).astype(spec.dtype)
        if spec.dtype == "float32":
            array = rng.normal(size=spec.shape).astype(np.float32)
        inputs[spec.name] = array
    inputs["weight"] = (np.arange(len(inputs["weight"])) < real).astype(np.float32)
    if which == "train":
        inputs["learning_rate"] = np.float32(RATE)
    return inputs


def called(program: Program, name: str, inputs: Arrays) -> Arrays:
    """One of the lowered functions, run by TensorFlow."""
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    return {key: value.numpy() for key, value in program.functions[name](**tensors).items()}


QUICK = ("batch normalization", "dropout", "proximal", "lora")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case not in QUICK)) for case in CASES]
)
def test_steps_of_the_graph_equal_those_of_the_lowered_program(case: str) -> None:
    build, options = CASES[case]
    trainee, program, graph = made(build, **options)
    pure, state = Pure(graph), {}
    start = trainee.layout.vector * np.float32(1.1)
    called(program, "set_weights", {"weights": start})
    state = pure.first(program, start)
    for step in range(STEPS):
        batch = drawn(program, "train", real=(BATCH, 1, 0)[step % 3], seed=step)
        after = pure.call("train", {**state, **batch})
        expected = called(program, "train", batch)["loss"]
        np.testing.assert_allclose(after.pop("loss"), expected, rtol=1e-5, atol=1e-6)
        state.update(after)
    flat = np.concatenate([state[f"weights/{k}"].ravel() for k in range(len(program.spec.entries))])
    trained = called(program, "get_weights", {})["weights"]
    assert np.abs(trained - start).max() > 1e-3
    np.testing.assert_allclose(flat, trained, rtol=1e-5, atol=1e-5)
    weights = {name: value for name, value in state.items() if name.startswith("weights/")}
    batch = drawn(program, "evaluate", real=3, seed=9)
    found, expected = (
        pure.call("evaluate", {**weights, **batch}),
        called(program, "evaluate", batch),
    )
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)


def test_another_seed_draws_other_numbers() -> None:
    trainee, program, graph = made(*CASES["dropout"][:1])
    pure = Pure(graph)
    state = pure.first(program, trainee.layout.vector)
    batch = drawn(program, "train", real=BATCH, seed=0)
    losses = [
        pure.call("train", {**state, **batch, "seed": np.array(seed, np.int32)})["loss"]
        for seed in (1, 1, 2)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_the_graph_holds_no_variable_and_each_frozen_weight_once() -> None:
    _, program, graph = made(CASES["lora"][0], trainable="lora:2")
    pure = Pure(graph)
    assert [op for op in pure.ops if "Variable" in op or "Resource" in op] == []
    frozen = 6 * 5 + 5 + 5 * 3 + 3
    assert len(graph) < 4 * frozen + 60_000
    names = [node.name for node in tf.compat.v1.GraphDef.FromString(graph).node]
    assert sorted(n for n in names if n.startswith("frozen/")) == [f"frozen/{k}" for k in range(4)]
    assert program.spec.size == (6 + 5) * 2 + (5 + 3) * 2


def test_the_same_model_gives_the_same_bytes() -> None:
    def named() -> keras.Model:
        return keras.Sequential([keras.Input((6,)), layers.Dense(3, name="only")], name="model")

    first, again = (made(named, optimizer="adam")[2] for _ in range(2))
    assert first == again


class Counting(layers.Layer):
    """Counts its calls in a state that is no weight."""

    def build(self, _: tuple[int, ...]) -> None:
        self.calls = self.add_weight(shape=(), dtype="int32", trainable=False, initializer="zeros")

    def call(self, inputs: Any) -> Any:
        self.calls.assign_add(1)
        return inputs


def test_a_model_with_a_state_of_its_own_has_no_graph() -> None:
    with pytest.raises(ExportError, match="keeps a state besides its weights"):
        made(lambda: dense(Counting()))


def test_an_export_writes_the_graph_only_when_asked(
    dense: Artifact, dense_model: keras.Model, tmp_path: Path
) -> None:
    out = tmp_path / "more"
    artifact = export(
        dense_model, out=out, loss=LOGITS, batch_size=4, evaluate_batch_size=5, graph=True
    )
    assert set(artifact.manifest.files) - set(dense.manifest.files) == {GRAPH}
    assert Artifact.read(artifact.folder).graph == (artifact.folder / GRAPH).read_bytes()
    assert artifact.model == dense.model
    with pytest.raises(DamagedArtifact, match=r"has no graph\.pb; export it with --graph"):
        _ = dense.graph
    (artifact.folder / GRAPH).write_bytes(b"other")
    with pytest.raises(DamagedArtifact, match="is not the file that was exported"):
        Artifact.read(artifact.folder)
    assert (artifact.folder / MANIFEST).is_file()

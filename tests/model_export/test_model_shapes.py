"""Models of every shape: exported, and trained on the phone's runtime beside Keras's own fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from pocketfed.model_export.converting.convert import convert
from pocketfed.model_export.reading.functional import functional
from pocketfed.model_export.reading.inspection import require_exportable
from pocketfed.model_export.training.objective import objective_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Program, Trainee, trace
from pocketfed.protocol.artifact import TensorSpec
from pocketfed.runtime import Runtime, quietly

layers = keras.layers
BATCH, STEPS, RATE, TOKENS = 4, 6, 0.05, 5
CLASSES = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
Case = tuple[keras.Model, dict[str, Any]]


def two_inputs() -> Case:
    """An Embedding each, the second one inside an inner model with the smaller vocabulary."""
    word, tag = (keras.Input((4,), dtype="int32", name=name) for name in ("word", "tag"))
    inner = keras.Sequential([keras.Input((4,), dtype="int32"), layers.Embedding(TOKENS, 3)])
    joined = layers.Concatenate()([layers.Embedding(9, 3)(word), inner(tag)])
    return keras.Model([word, tag], layers.Dense(3)(layers.Flatten()(joined))), {"loss": CLASSES}


def two_outputs() -> Case:
    x = keras.Input((6,))
    hidden = layers.Dense(5, activation="tanh")(x)
    outputs = [layers.Dense(3, name="kind")(hidden), layers.Dense(2, name="size")(hidden)]
    return keras.Model(x, outputs), {"loss": [CLASSES, "mse"], "loss_weights": [0.5, 2.0]}


def dicts() -> Case:
    """Keys are sorted by Keras, whatever the order they are written in."""
    z, a = keras.Input((6,), name="z"), keras.Input((2,), name="a")
    hidden = layers.Concatenate()([layers.Dense(4)(z), a])
    outputs = {"up": layers.Dense(3)(hidden), "down": layers.Dense(1)(hidden)}
    loss = {"up": CLASSES, "down": keras.losses.Huber()}
    return keras.Model({"z": z, "a": a}, outputs), {
        "loss": loss,
        "loss_weights": {"down": 3.0, "up": 1.0},
    }


def one_loss_for_all() -> Case:
    x = keras.Input((6,))
    return keras.Model(x, [layers.Dense(2)(x), layers.Dense(1)(x)]), {"loss": "mse"}


def shared_layer() -> Case:
    x, dense = keras.Input((5,)), layers.Dense(5, activation="tanh")
    return keras.Model(x, layers.Dense(3)(dense(dense(x)))), {"loss": CLASSES}


def shared_normalization() -> Case:
    """One BatchNormalization over two branches: its statistics move twice in a step."""
    x, norm = keras.Input((5,)), layers.BatchNormalization()
    branches = [norm(layers.Dense(4)(x)), norm(layers.Dense(4, activation="tanh")(x))]
    return keras.Model(x, layers.Dense(3)(layers.Add()(branches))), {"loss": CLASSES}


def inner_model_twice() -> Case:
    """Siamese towers with a layer that is shared inside and outside."""
    dense, norm = layers.Dense(4, activation="tanh"), layers.BatchNormalization()
    x = keras.Input((4,))
    tower = keras.Model(x, dense(norm(dense(x))), name="tower")
    left, right = keras.Input((4,)), keras.Input((4,))
    joined = layers.Concatenate()([tower(left), tower(dense(right))])
    return keras.Model([left, right], layers.Dense(3)(joined)), {"loss": CLASSES}


@keras.saving.register_keras_serializable("pocketfed_tests")
class Towers(keras.Model):
    """Takes a dict, gives a dict, shares a layer, and holds an inner model."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embed = layers.Embedding(TOKENS, 3)
        self.inner = keras.Sequential([layers.Dense(5), layers.BatchNormalization()])
        self.kind, self.size = layers.Dense(3), layers.Dense(1)

    def call(self, inputs: Any, training: bool = False) -> Any:
        tokens = keras.ops.mean(self.embed(inputs["tokens"]), axis=1)
        joined = keras.ops.concatenate([tokens, inputs["image"]], axis=-1)
        hidden = self.inner(self.inner(joined, training=training), training=training)
        return {"kind": self.kind(hidden), "size": self.size(hidden)}


class Plain(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden, self.last = layers.Dense(4, activation="tanh"), layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        return self.last(self.hidden(inputs))


class Pair(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense, self.last = layers.Dense(4), layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        first, second = inputs
        return self.last(self.dense(first) * self.dense(second)), self.last(first[:, :4])


def subclassed() -> Case:
    model = Plain()
    model(np.ones((2, 6), np.float32))
    return model, {"loss": CLASSES}


def towers() -> Case:
    model = Towers()
    model({"tokens": np.ones((2, 4), np.int32), "image": np.ones((2, 2), np.float32)})
    return model, {"loss": {"kind": CLASSES, "size": "mse"}}


def subclassed_pair() -> Case:
    model = Pair()
    model([np.ones((2, 6), np.float32)] * 2)
    return model, {"loss": ["mse", "mae"], "loss_weights": [1.0, 0.3]}


def masked_steps() -> Case:
    """A class per time step, of which Keras counts those that are not padding tokens."""
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(TOKENS, 3, mask_zero=True),
            layers.Dense(3),
        ]
    )
    return model, {"loss": CLASSES}


def masked_numbers() -> Case:
    """Two numbers per time step, after a layer that hands the mask on."""
    tokens = keras.Input((4,), dtype="int32")
    steps = layers.Embedding(TOKENS, 3, mask_zero=True)(tokens)
    outputs = [
        layers.Dense(2)(layers.ReLU()(steps)),
        layers.Dense(1)(layers.GlobalAveragePooling1D()(steps)),
    ]
    return keras.Model(tokens, outputs), {"loss": ["mae", "mse"]}


SLOW = [
    masked_numbers,
    two_outputs,
    one_loss_for_all,
    shared_layer,
    inner_model_twice,
    subclassed,
    towers,
    subclassed_pair,
]
CASES = [
    two_inputs,
    dicts,
    shared_normalization,
    masked_steps,
    *(pytest.param(build, marks=pytest.mark.slow) for build in SLOW),
]


def exported(model: keras.Model, options: dict[str, Any]) -> tuple[Trainee, Program, Runtime]:
    known = functional(model)
    require_exportable(known)
    objective = objective_of(known, *(options.get(key) for key in ("loss", "loss_weights")))
    trainee = Trainee(known, objective, optimizer_of("sgd"), BATCH, BATCH)
    with quietly():
        program = trace(trainee)
    names = ("train", "infer", "get_weights", "evaluate", "set_weights")
    functions = {name: program.functions[name] for name in names}
    return trainee, program, Runtime(convert(replace(program, functions=functions)))


def drawn(spec: TensorSpec, rng: np.random.Generator) -> np.ndarray:
    if spec.dtype == "int32":
        return rng.integers(0, 3 if spec.name[0] == "y" else TOKENS, spec.shape).astype(np.int32)
    return rng.normal(size=spec.shape).astype(np.float32)


def in_structure(structure: Any, batch: dict[str, np.ndarray], role: str, real: int) -> Any:
    """What fit would be given: the tensors of a role without the padding."""
    flat = [array[:real] for name, array in batch.items() if name.split("_")[0] == role]
    return keras.tree.pack_sequence_as(structure, flat)


@pytest.mark.parametrize("build", CASES)
def test_a_model_of_this_shape_trains_on_the_phone_as_keras_fits_it(
    build: Callable[[], Case],
) -> None:
    keras.utils.set_random_seed(3)
    model, options = build()
    trainee, program, runtime = exported(model, options)
    known = trainee.model
    takes = {
        side: known.inputs[0] if isinstance(known, keras.Sequential) else getattr(known, side)
        for side in ("input", "output")
    }
    model.compile(optimizer=keras.optimizers.SGD(RATE), run_eagerly=True, **options)
    signatures, rng = program.signatures(), np.random.default_rng(7)
    batch: dict[str, np.ndarray] = {}
    for step in range(STEPS):
        real = BATCH - step % 2
        batch = {spec.name: drawn(spec, rng) for spec in signatures["train"].inputs}
        batch["weight"] = (np.arange(BATCH) < real).astype(np.float32)
        batch["learning_rate"] = np.array(RATE, np.float32)
        x, y = (
            in_structure(takes[s], batch, s2, real) for s, s2 in (("input", "x"), ("output", "y"))
        )
        expected = np.ravel(model.train_on_batch(x, y))[0]
        np.testing.assert_allclose(runtime.train(batch), expected, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(runtime.weights, trainee.layout.vector, rtol=1e-5, atol=1e-6)
    require_evaluation_of_keras(model, runtime, batch, takes)
    assert runtime.train({**batch, "weight": np.zeros(BATCH, np.float32)}) == 0.0


def test_masked_time_steps_are_neither_right_nor_wrong() -> None:
    keras.utils.set_random_seed(3)
    model, options = masked_steps()
    _, program, runtime = exported(model, options)
    model.compile(metrics=["accuracy"], **options)
    rng = np.random.default_rng(1)
    batch = {spec.name: drawn(spec, rng) for spec in program.signatures()["evaluate"].inputs}
    batch["weight"] = np.array([1, 1, 1, 0], np.float32)
    sums = runtime.call("evaluate", batch)
    with quietly():
        _, accuracy = model.test_on_batch(batch["x"][:3], batch["y"][:3])
    np.testing.assert_allclose(sums["correct_sum"] / 3, accuracy, rtol=1e-6)
    blank = runtime.call("evaluate", {**batch, "x": np.zeros_like(batch["x"])})
    assert (blank["loss_sum"], blank["correct_sum"], blank["weight_sum"]) == (0.0, 0.0, 3.0)


def require_evaluation_of_keras(
    model: keras.Model, runtime: Runtime, batch: dict[str, np.ndarray], takes: dict[str, Any]
) -> None:
    """One padded batch, without regularizers."""
    real = int(batch["weight"].sum())
    x, y = (in_structure(takes[s], batch, s2, real) for s, s2 in (("input", "x"), ("output", "y")))
    inputs = {name: array for name, array in batch.items() if name != "learning_rate"}
    sums = runtime.call("evaluate", inputs)
    expected = np.ravel(model.test_on_batch(x, y))[0]
    np.testing.assert_allclose(sums["loss_sum"] / sums["weight_sum"], expected, rtol=2e-5)

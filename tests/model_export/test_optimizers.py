"""Every optimizer a phone can step with, against Keras's own on the same batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from pocketfed.model_export import export, export_zoo
from pocketfed.model_export.compact import compacted
from pocketfed.model_export.converting.convert import convert
from pocketfed.model_export.training.losses import loss_of
from pocketfed.model_export.training.memory import Memory
from pocketfed.model_export.training.optimizers import OPTIMIZERS, optimizer_of
from pocketfed.model_export.training.signatures import Trainee, trace
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.errors import ExportError
from pocketfed.runtime import Runtime

layers, optimizers = keras.layers, keras.optimizers
BATCH, STEPS = 4, 10
CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
Optimizer = optimizers.Optimizer
Batch = dict[str, np.ndarray]


def flat(model: keras.Model) -> np.ndarray:
    """What travels of a model without batch normalization: the weights that train."""
    return np.concatenate([v.numpy().reshape(-1) for v in model.trainable_variables])


def dense() -> keras.Model:
    """With a regularizer, a constraint that bites and a layer that does not train."""
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, trainable=False),
            layers.Dense(5, activation="relu", kernel_regularizer=keras.regularizers.L2(0.1)),
            layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(0.9)),
        ]
    )


def convolutional() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def embedding() -> keras.Model:
    """Looks some rows up several times in one batch."""
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(7, 4),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def compiled(model: keras.Model, optimizer: str | Optimizer, *, proximal: float = 0.0) -> bytes:
    """A file with what is called here: neither ``evaluate`` nor ``infer``."""
    chosen = optimizer_of(optimizer)
    program = trace(Trainee(model, loss_of(CROSSENTROPY), chosen, BATCH, 5, proximal))
    called = {n: f for n, f in program.functions.items() if n not in ("evaluate", "infer")}
    return convert(replace(program, functions=called))


def batches(model: keras.Model, rate: float) -> list[Batch]:
    """Ten of them; every other one holds padding, the last but one nothing else."""
    rng, drawn = np.random.default_rng(7), []
    takes_tokens = model.inputs[0].dtype == "int32"
    for step in range(STEPS):
        real = 0 if step == STEPS - 2 else BATCH - step % 2
        shape = (BATCH, *model.inputs[0].shape[1:])
        x = rng.integers(0, 7, shape) if takes_tokens else rng.normal(size=shape)
        drawn.append(
            {
                "x": x.astype(np.int32 if takes_tokens else np.float32),
                "y": rng.integers(0, 3, BATCH).astype(np.int32),
                "weight": (np.arange(BATCH) < real).astype(np.float32),
                "learning_rate": np.array(rate, np.float32),
            }
        )
    return drawn


def compare(model: keras.Model, optimizer: Optimizer, *, rate: float) -> None:
    """Trains both; Keras never sees a batch that is padding only."""
    tolerances = optimizer_of(optimizer).rule.tolerances
    runtime = Runtime(compiled(model, optimizer))
    model.compile(optimizer=optimizer, loss=CROSSENTROPY, run_eagerly=True)
    optimizer.learning_rate = rate
    for inputs in batches(model, rate):
        real = int(inputs["weight"].sum())
        loss = runtime.train(inputs)
        expected = model.train_on_batch(inputs["x"][:real], inputs["y"][:real]) if real else 0.0
        np.testing.assert_allclose(loss, expected, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(
        runtime.weights, flat(model), rtol=tolerances.rtol, atol=tolerances.atol
    )


KINDS: dict[str, Callable[[], Optimizer]] = {
    "momentum": lambda: optimizers.SGD(momentum=0.9),
    "nesterov": lambda: optimizers.SGD(momentum=0.8, nesterov=True),
    "adam": optimizers.Adam,
    "adamw": optimizers.AdamW,
}
OPTIONS: dict[str, Callable[[], Optimizer]] = {
    **KINDS,
    "adam with other options": lambda: optimizers.Adam(beta_1=0.8, beta_2=0.99, epsilon=1e-3),
    "strong decay": lambda: optimizers.AdamW(weight_decay=0.5),
    "sgd with decay": lambda: optimizers.SGD(weight_decay=0.2),
    "clipnorm": lambda: optimizers.SGD(clipnorm=0.1),
    "global_clipnorm": lambda: optimizers.SGD(momentum=0.9, global_clipnorm=0.2),
    "clipvalue": lambda: optimizers.Adam(clipvalue=0.01, epsilon=1e-3),
}


def rate_of(name: str) -> float:
    return 0.002 if "adam" in name or name in ("strong decay", "clipvalue") else 0.05


FAST = ("nesterov", "adamw", "clipnorm", "global_clipnorm")


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in OPTIONS]
)
def test_ten_steps_of_a_dense_model_equal_those_of_keras(name: str) -> None:
    keras.utils.set_random_seed(3)
    compare(dense(), OPTIONS[name](), rate=rate_of(name))


@pytest.mark.parametrize(
    "name", ["adam", *(pytest.param(n, marks=pytest.mark.slow) for n in KINDS if n != "adam")]
)
def test_ten_steps_of_a_convolutional_model_equal_those_of_keras(name: str) -> None:
    keras.utils.set_random_seed(3)
    compare(convolutional(), KINDS[name](), rate=rate_of(name))


SLICED = ("nesterov", "clipnorm", "global_clipnorm", "clipvalue")


@pytest.mark.parametrize(
    "name", ["adam", *(pytest.param(n, marks=pytest.mark.slow) for n in SLICED)]
)
def test_ten_steps_of_an_embedding_equal_those_of_keras(name: str) -> None:
    keras.utils.set_random_seed(3)
    compare(embedding(), OPTIONS[name](), rate=rate_of(name))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_name_says_what_it_makes_and_brings_its_learning_rate(name: str) -> None:
    optimizer = optimizer_of(name)
    assert optimizer.name == name
    assert optimizer.learning_rate == (0.001 if name.startswith("adam") else 0.1)


def test_the_plan_takes_the_rate_of_the_object_and_the_manifest_its_kind(
    tmp_path: Path, dense_model: keras.Model
) -> None:
    optimizer = optimizers.AdamW(learning_rate=0.003, clipnorm=1.0)
    artifact = export(
        dense_model, out=tmp_path / "a", loss=CROSSENTROPY, optimizer=optimizer, proximal=0.5
    )
    manifest = artifact.manifest
    assert (manifest.optimizer, manifest.plan.learning_rate) == ("adamw", 0.003)
    assert manifest.proximal == 0.5
    assert manifest.tolerances.atol == 5e-5
    assert "reset_optimizer" in manifest.signatures
    assert manifest.weight_spec.size == dense_model.count_params()


def test_an_optimizer_that_remembers_nothing_has_nothing_to_reset(dense: Artifact) -> None:
    assert "reset_optimizer" not in dense.manifest.signatures
    before = Runtime(dense.model)
    before.reset_optimizer()
    np.testing.assert_array_equal(before.weights, dense.checkpoint.vector)


def excluding() -> Optimizer:
    optimizer = optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


class Mine(optimizers.SGD):
    """Steps like SGD, but who knows."""


REFUSED: dict[str, Callable[[], Any]] = {
    "amsgrad": lambda: optimizers.Adam(amsgrad=True),
    "use_ema": lambda: optimizers.SGD(use_ema=True),
    "loss_scale_factor": lambda: optimizers.SGD(loss_scale_factor=2.0),
    "gradient_accumulation_steps": lambda: optimizers.Adam(gradient_accumulation_steps=2),
    "exclude_from_weight_decay": excluding,
    "as learning_rate": lambda: optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10)),
    "got the optimizer RMSprop, expected one of sgd, momentum": optimizers.RMSprop,
    "got the optimizer Mine": Mine,
    "got the optimizer LossScaleOptimizer": lambda: optimizers.LossScaleOptimizer(optimizers.SGD()),
    "got the optimizer 'lion', expected one of": lambda: "lion",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_no_phone_follows_is_refused_by_its_name(words: str) -> None:
    with pytest.raises(ExportError, match=words) as refusal:
        optimizer_of(REFUSED[words]())
    assert "\n" not in str(refusal.value)


def test_a_proximal_term_is_a_number_from_zero_on(tmp_path: Path, dense_model: keras.Model) -> None:
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ExportError, match="got proximal="):
            export(dense_model, out=tmp_path / "a", loss=CROSSENTROPY, proximal=wrong)


@pytest.fixture(scope="module")
def adam(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A 2NN whose weights, unlike a small model's, weigh more than its graph."""
    return export_zoo("mnist_2nn", out=tmp_path_factory.mktemp("adam") / "a", optimizer="adam")


def test_a_file_for_adam_stores_the_weights_once_and_no_slot(adam: Artifact) -> None:
    assert len(adam.model) < 1.15 * adam.manifest.weight_spec.size * 4
    assert "FILL" in adam.manifest.ops
    assert adam.manifest.plan.learning_rate == 0.001


def test_the_copy_for_a_proximal_term_is_not_stored_either() -> None:
    model = keras.Sequential([keras.Input((300,)), layers.Dense(300), layers.Dense(3)])
    plain, near = (len(compiled(model, "sgd", proximal=mu)) for mu in (0.0, 0.1))
    assert near - plain < 16_000 < 300 * 300 * 4 / 20


def test_a_rewritten_file_holds_its_constants_at_aligned_places(adam: Artifact) -> None:
    root: Any = schema.Model.GetRootAs(adam.model, 0)
    tables = [root.Buffers(index)._tab for index in range(root.BuffersLength())]
    stored = [table.Vector(table.Offset(4)) for table in tables if table.Offset(4)]
    assert len(stored) > 5
    assert {place % 16 for place in stored} == {0}


def test_a_compacted_file_cannot_be_compacted_further(adam: Artifact) -> None:
    assert compacted(adam.model) == adam.model


@pytest.fixture(scope="module")
def rolling() -> bytes:
    keras.utils.set_random_seed(3)
    return compiled(dense(), "adam")


def trained(runtime: Runtime, *, rate: float = 0.002) -> np.ndarray:
    for inputs in batches(dense(), rate)[:3]:
        runtime.train(inputs)
    return runtime.weights


def test_a_reset_forgets_everything_even_nan(rolling: bytes) -> None:
    fresh, used = Runtime(rolling), Runtime(rolling)
    start = fresh.weights
    assert not np.isfinite(trained(used, rate=1e38)).all()
    used.reset_optimizer()
    used.weights = start
    np.testing.assert_array_equal(trained(used), trained(fresh))


def test_without_a_reset_the_next_training_goes_elsewhere(rolling: bytes) -> None:
    fresh, used = Runtime(rolling), Runtime(rolling)
    start = fresh.weights
    trained(used)
    used.weights = start
    assert not np.array_equal(trained(used), trained(fresh))


def test_a_reset_leaves_the_weights_alone(rolling: bytes) -> None:
    runtime = Runtime(rolling)
    after = trained(runtime)
    runtime.reset_optimizer()
    np.testing.assert_array_equal(runtime.weights, after)


def test_an_export_whose_reset_does_not_reset_fails(
    tmp_path: Path, dense_model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Memory, "reset", lambda self: self.resettable[0] * 1.0)
    with pytest.raises(ExportError, match="reset_optimizer does not repeat"):
        export(dense_model, out=tmp_path / "a", loss=CROSSENTROPY, optimizer="momentum")


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_an_export_that_lets_padding_into_its_slots_fails(
    name: str, tmp_path: Path, dense_model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Memory.step

    def careless(self, *arguments, learning_rate, is_real):
        step(self, *arguments, learning_rate=learning_rate, is_real=is_real * 0.0 + 1.0)

    monkeypatch.setattr(Memory, "step", careless)
    with pytest.raises(ExportError, match="later steps changed by an empty batch"):
        export(dense_model, out=tmp_path / "a", loss=CROSSENTROPY, optimizer=name)


def test_the_proximal_term_pulls_towards_the_weights_that_were_set_last() -> None:
    """SGD with mu: the step without it, less rate * mu * (w - received)."""
    keras.utils.set_random_seed(3)
    model, mu, rate = embedding(), 2.0, 0.05
    plain, near = (Runtime(compiled(model, "sgd", proximal=m)) for m in (0.0, mu))
    first, second, *_ = batches(model, rate)
    received = near.weights + np.float32(0.01)
    near.weights = plain.weights = received
    assert near.train(first) == pytest.approx(plain.train(first), rel=1e-6)
    moved = near.weights
    np.testing.assert_allclose(moved, plain.weights, atol=1e-7)
    loss = plain.train(second)
    distance = np.sum((moved - received) ** 2)
    assert near.train(second) == pytest.approx(loss + mu / 2 * distance, rel=1e-5)
    wanted = plain.weights - rate * mu * (moved - received)
    np.testing.assert_allclose(near.weights, wanted, atol=1e-6)
    near.weights = plain.weights = moved
    near.train(second)
    plain.train(second)
    np.testing.assert_allclose(near.weights, plain.weights, atol=1e-7)


def test_a_batch_of_padding_only_is_not_pulled_back() -> None:
    model = dense()
    runtime = Runtime(compiled(model, "momentum", proximal=2.0))
    drawn = batches(model, 0.05)
    runtime.train(drawn[0])
    before = runtime.weights
    assert runtime.train(drawn[-2]) == 0.0
    np.testing.assert_array_equal(runtime.weights, before)

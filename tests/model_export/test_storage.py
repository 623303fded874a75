"""Storage: halves train as their rounded values do, and every weight is stored once."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from pocketfed.model_export import export
from pocketfed.model_export.converting.convert import convert
from pocketfed.model_export.converting.storage import rounded
from pocketfed.model_export.reading.scope import scoped
from pocketfed.model_export.training.losses import loss_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Trainee, trace
from pocketfed.protocol.artifact import Artifact, Storage
from pocketfed.protocol.errors import ExportError
from pocketfed.runtime import Runtime

layers = keras.layers
GRAPH_BYTES = 64_000


def dense() -> keras.Model:
    keras.utils.set_random_seed(3)
    parts = [layers.Dense(200, "relu"), layers.Dense(200, "relu"), layers.Dense(3)]
    return keras.Sequential([keras.Input((100,)), *parts], name="dense")


def convolutional() -> keras.Model:
    keras.utils.set_random_seed(3)
    parts = [
        layers.Conv2D(64, 3, name="conv_1"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(64, 3, strides=2, padding="same", name="conv_2"),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    ]
    return keras.Sequential([keras.Input((6, 6, 32)), *parts], name="conv")


def converted(
    model: keras.Model,
    preset: str = "full",
    *,
    optimizer: str = "sgd",
    proximal: float = 0.0,
    storage: Storage = "float32",
) -> bytes:
    with scoped(model, preset, seed=0) as lent, rounded(lent, storage):
        kinds = loss_of("mean_squared_error"), optimizer_of(optimizer)
        program = trace(Trainee(lent, *kinds, 2, 2, proximal, storage))
        return convert(program, in_halves=storage == "float16")


def weight_bytes(model: keras.Model) -> int:
    return 4 * model.count_params()


@pytest.mark.parametrize("build", [dense, convolutional])
def test_frozen_kernels_that_both_passes_read_are_stored_once(build) -> None:
    model = build()
    assert len(converted(model, "bias")) < weight_bytes(model) + GRAPH_BYTES


def test_halves_take_half_whatever_the_optimizer_remembers() -> None:
    model = dense()
    size = len(converted(model, optimizer="adam", proximal=0.1, storage="float16"))
    assert size < weight_bytes(model) / 2 + GRAPH_BYTES


def test_frozen_kernels_are_halved_though_a_scale_could_be_folded_into_them() -> None:
    model = convolutional()
    size = len(converted(model, "head", storage="float16"))
    assert size < weight_bytes(model) / 2 + GRAPH_BYTES


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Exported, hence compared with Keras over ten steps."""
    out = tmp_path_factory.mktemp("halved") / "a"
    return export(dense(), out=out, loss="mean_squared_error", batch_size=4, storage="float16")


def test_training_begins_at_the_rounded_weights(halved: Artifact) -> None:
    flat = np.concatenate([v.numpy().reshape(-1) for v in dense().variables])
    wanted = flat.astype(np.float16).astype(np.float32)
    assert halved.manifest.storage == "float16"
    np.testing.assert_array_equal(halved.checkpoint.vector, wanted)
    np.testing.assert_array_equal(Runtime(halved.model).weights, wanted)


def test_what_travels_is_not_rounded(halved: Artifact) -> None:
    runtime = Runtime(halved.model)
    drawn = np.random.default_rng(0).normal(size=runtime.weights.size).astype(np.float32)
    runtime.weights = drawn
    np.testing.assert_array_equal(runtime.weights, drawn)


@pytest.mark.slow
def test_a_head_in_halves_equals_keras(tmp_path: Path) -> None:
    model = convolutional()
    before = [variable.numpy() for variable in model.variables]
    export(
        model,
        out=tmp_path / "a",
        loss="mean_squared_error",
        batch_size=4,
        trainable="head",
        storage="float16",
    )
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_the_weights_of_the_model_come_back() -> None:
    model = dense()
    before = [variable.numpy() for variable in model.variables]
    with rounded(model, "float16"):
        assert not np.array_equal(model.variables[0].numpy(), before[0])
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_weight_beyond_float16_is_named() -> None:
    model = dense()
    model.layers[1].bias.assign(np.full(200, 1e5, np.float32))
    path = model.layers[1].bias.path
    with (
        pytest.raises(ExportError, match=f"{path} holds 100000, beyond"),
        rounded(model, "float16"),
    ):
        pass


def test_another_storage_is_refused() -> None:
    with (
        pytest.raises(ExportError, match="got storage='int8', expected one of float32, float16"),
        rounded(dense(), "int8"),
    ):
        pass

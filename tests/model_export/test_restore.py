"""The way back: what phones have trained, in the Keras model again."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from pocketfed import cli
from pocketfed.model_export import ZOO, export, load, restore
from pocketfed.model_export.proving.golden import Golden
from pocketfed.protocol import wire
from pocketfed.protocol.artifact import GOLDEN, Artifact
from pocketfed.protocol.errors import ExportError
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.runtime import Runtime, quietly

layers = keras.layers


def model() -> keras.Model:
    keras.utils.set_random_seed(3)
    hidden = layers.Dense(5, activation="tanh", name="hidden")
    parts = [layers.Embedding(7, 4, name="words"), layers.Flatten(), hidden]
    tokens = keras.Input((4,), dtype="int32")
    return keras.Sequential([tokens, *parts, layers.Dense(3, name="logits")], name="reader")


def exported(out: Path, trainable: str) -> Artifact:
    return export(
        model(),
        out=out,
        loss="mean_squared_error",
        batch_size=4,
        evaluate_batch_size=4,
        trainable=trainable,
    )


@pytest.mark.parametrize("preset", ["lora:2", pytest.param("head", marks=pytest.mark.slow)])
def test_a_restored_model_computes_what_the_phone_does(preset: str, tmp_path: Path) -> None:
    artifact, keras_model = exported(tmp_path / "a", preset), model()
    golden, runtime = Golden.from_bytes(artifact.bytes_of(GOLDEN)), Runtime(artifact.model)
    first = keras_model(golden.evaluate_x["x"]).numpy()
    for step in range(5):
        runtime.train(golden.step(step))
    restore(keras_model, wire.encode(Weights(artifact.manifest.weight_spec, runtime.weights)))
    got, wanted = keras_model(golden.evaluate_x["x"]), runtime.call("infer", golden.evaluate_x)
    np.testing.assert_allclose(got, wanted["outputs"], rtol=1e-5, atol=1e-6)
    assert np.abs(got - first).max() > 1e-3
    assert not any("lora" in variable.path for variable in keras_model.variables)


def weights_of(arrays: dict[str, np.ndarray]) -> Weights:
    return Weights.pack(WeightSpec.of({name: a.shape for name, a in arrays.items()}), arrays)


def test_only_what_the_checkpoint_names_is_set() -> None:
    keras_model = model()
    before = keras_model.layers[2].kernel.numpy()
    restore(keras_model, weights_of({"reader/logits/bias": np.arange(3.0)}))
    np.testing.assert_array_equal(keras_model.layers[3].bias, [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(keras_model.layers[2].kernel, before)


def test_a_checkpoint_fits_a_model_whether_its_paths_begin_with_the_name_or_not() -> None:
    bias = np.arange(3.0)
    for path in ("reader/logits/bias", "logits/bias"):
        keras_model = model()
        restore(keras_model, weights_of({path: bias}))
        np.testing.assert_array_equal(keras_model.layers[3].bias, bias)


def test_a_saved_sequential_takes_the_checkpoint_of_the_one_that_was_exported(
    tmp_path: Path,
) -> None:
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="logits")], name="lone")
    with quietly():
        made.save(tmp_path / "lone.keras")
    opened = load(tmp_path / "lone.keras")
    assert opened.weights[0].path != made.weights[0].path
    restore(opened, weights_of({v.path: np.full(v.shape, 2.0) for v in made.weights}))
    assert all((weights == 2.0).all() for weights in opened.get_weights())


def test_an_optimizer_saved_beside_a_model_is_left_without_a_word(tmp_path: Path) -> None:
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    made.compile(optimizer="rmsprop", loss="mean_squared_error")
    with quietly():
        made.save(tmp_path / "compiled.keras")
    assert load(tmp_path / "compiled.keras").loss == "mean_squared_error"


@pytest.mark.parametrize(
    ("path", "shape", "words"),
    [
        ("reader/other/bias", (3,), "reader has no weight reader/other/bias; restore the model"),
        ("reader/logits/bias", (4,), r"reader/logits/bias has shape \(4,\) .* but \(3,\)"),
    ],
)
def test_the_first_path_that_does_not_fit_is_named_and_nothing_is_set(
    path: str, shape: tuple[int, ...], words: str
) -> None:
    keras_model = model()
    before = [variable.numpy() for variable in keras_model.variables]
    arrays = {"reader/hidden/bias": np.ones(5), path: np.ones(shape)}
    with pytest.raises(ExportError, match=words):
        restore(keras_model, weights_of(arrays))
    for variable, value in zip(keras_model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_other_bytes_are_no_checkpoint() -> None:
    with pytest.raises(ExportError, match="no safetensors file"):
        restore(model(), b"something else")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_command_writes_a_model_with_the_weights_of_the_checkpoint(tmp_path: Path) -> None:
    checkpoint, out = tmp_path / "newest.safetensors", tmp_path / "trained.keras"
    weights = weights_of({"mnist_2nn/logits/bias": np.arange(10.0)})
    checkpoint.write_bytes(wire.encode(weights))
    words = ["restore", "mnist_2nn", f"--checkpoint={checkpoint}", f"--out={out}", "--seed=5"]
    assert cli.main(["pocketfed", *words]) == 0
    trained, first = load(out), ZOO["mnist_2nn"].build(5)
    np.testing.assert_array_equal(trained.get_layer("logits").bias, np.arange(10.0))
    np.testing.assert_array_equal(
        trained.get_layer("logits").kernel, first.get_layer("logits").kernel
    )


def test_the_command_writes_keras_files_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["restore", "mnist_2nn", "--checkpoint=x", f"--out={tmp_path / 'trained.h5'}"]
    assert cli.main(["pocketfed", *words]) == 2
    assert "expected a name that ends in .keras" in capsys.readouterr().err

"""What cannot be exported is refused in one sentence that says why and what to do."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf
from pocketfed.model_export import export, load
from pocketfed.protocol.errors import ExportError
from pocketfed.protocol.plan import Plan

layers = keras.layers


def load_refusals() -> ModuleType:
    module, path = ModuleType("refusals"), Path(__file__).with_name("refusals.py")
    SourceFileLoader("refusals", str(path)).exec_module(module)
    return module


refusals = load_refusals()


def try_export(model: keras.Model, tmp_path: Path, **options: object) -> str:
    """The sentence with which the export of a small model is refused."""
    settings = {"loss": "mean_squared_error", "batch_size": 2, "evaluate_batch_size": 2}
    with pytest.raises(ExportError) as refusal:
        export(model, out=tmp_path / "out", **{**settings, **options})
    assert not (tmp_path / "out").exists()
    return f"{type(refusal.value).__name__}: {refusal.value}"


def keras_trains(model: keras.Model) -> bool:
    """Whether this machine's kernels do."""
    model.compile(loss="mean_squared_error")
    x = np.zeros((2, *model.input_shape[1:]), np.float32)
    try:
        model.train_on_batch(x, np.zeros_like(model(x)))
    except tf.errors.OpError:
        return False
    return True


def sequential(shape: tuple[int, ...], *parts: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *parts], name="small")


@pytest.mark.parametrize("refusal", refusals.REFUSED, ids=lambda refusal: refusal.what)
def test_what_the_page_says_is_refused_is_refused_with_a_replacement(
    refusal, tmp_path: Path
) -> None:
    if refusal.up_to_keras and keras_trains(refusal.build()):
        export(refusal.build(), out=tmp_path / "out", loss="mean_squared_error", batch_size=2)
        return
    sentence = try_export(refusal.build(), tmp_path, **refusal.options)
    assert [word for word in refusal.words if word not in sentence] == []
    assert "\n" not in sentence


def test_an_unsupported_layer_is_found_inside_an_inner_model(tmp_path: Path) -> None:
    inner = sequential((4, 4, 4, 2), layers.Conv3D(3, 2, name="solid"))
    outer = keras.Input((4, 4, 4, 2))
    model = keras.Model(outer, layers.Dense(3)(inner(outer)))
    assert "small/solid (Conv3D)" in try_export(model, tmp_path)


def test_a_model_without_inputs_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([layers.Dense(3)], name="unbuilt")
    assert "unbuilt has no inputs yet; begin it with keras.Input" in try_export(model, tmp_path)


def fork() -> keras.Model:
    x = keras.Input((3,))
    outputs = [layers.Dense(2, name="left")(x), layers.Dense(2, name="right")(x)]
    return keras.Model(x, outputs, name="fork")


OBJECTIVES: dict[str, dict[str, object]] = {
    "loss has 3 entries for 2 outputs": {"loss": ["mse", "mse", "mse"]},
    "loss names the output 'up', expected left, right": {"loss": {"up": "mse"}},
    "no output of fork has a loss": {"loss": [None, None]},
    "loss_weights names the output 'up'": {"loss_weights": {"up": 1.0}},
    "loss_weights has 1 entries for 2 outputs": {"loss_weights": [1.0]},
    "the loss weight of left is inf, expected a number": {"loss_weights": [float("inf"), 1.0]},
    "both by output name, or both in order": {
        "loss": {"left": "mse", "right": "mse"},
        "loss_weights": [1.0, 2.0],
    },
    "got the loss 'hinge', expected one of": {"loss": {"left": "hinge"}},
}


@pytest.mark.parametrize("words", OBJECTIVES)
def test_losses_that_do_not_fit_the_outputs_are_refused(words: str, tmp_path: Path) -> None:
    assert words in try_export(fork(), tmp_path, **OBJECTIVES[words])


class TwoArguments(keras.Model):
    def call(self, first, second):
        return first + second


class Summed(keras.Model):
    def call(self, inputs):
        return keras.ops.sum(inputs)


def test_a_subclassed_model_that_was_never_called_is_refused(tmp_path: Path) -> None:
    words = "mine has no inputs yet; begin it with keras.Input(shape), call it once on a batch, or"
    assert words in try_export(Summed(name="mine"), tmp_path)


def test_a_call_of_several_arguments_is_refused(tmp_path: Path) -> None:
    sentence = try_export(TwoArguments(), tmp_path, inputs=keras.Input((3,)))
    assert "cannot be called with one structure of inputs" in sentence
    assert "\n" not in sentence


def test_an_output_that_is_no_value_per_example_is_refused(tmp_path: Path) -> None:
    sentence = try_export(Summed(), tmp_path, inputs=keras.Input((3,)))
    assert "has outputs of shape (), expected one value per example" in sentence


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    assert "got Dense, expected a Keras model" in try_export(layers.Dense(3), tmp_path)


def test_an_open_side_is_refused(tmp_path: Path) -> None:
    x = keras.Input((None, 3))
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    assert "only the batch may be open" in try_export(model, tmp_path)


def test_a_model_that_does_not_train_is_refused(tmp_path: Path, dense_model: keras.Model) -> None:
    dense_model.trainable = False
    assert "dense is frozen as a whole" in try_export(dense_model, tmp_path)


@pytest.mark.parametrize("loss", ["hinge", keras.losses.Poisson()])
def test_an_unknown_loss_is_refused(loss: object, tmp_path: Path, dense_model: keras.Model) -> None:
    assert "expected one of sparse_cat" in try_export(dense_model, tmp_path, loss=loss)


def test_an_unknown_optimizer_is_refused(tmp_path: Path, dense_model: keras.Model) -> None:
    sentence = try_export(dense_model, tmp_path, optimizer="lion")
    assert "got the optimizer 'lion', expected one of sgd" in sentence


def test_labels_must_match_the_outputs(tmp_path: Path, dense_model: keras.Model) -> None:
    sentence = try_export(dense_model, tmp_path, labels=("cat", "dog"))
    assert "got 2 labels for 3 outputs" in sentence


def test_a_plan_cannot_ask_for_larger_batches(tmp_path: Path, dense_model: keras.Model) -> None:
    sentence = try_export(dense_model, tmp_path, plan=Plan(batch_size=3))
    assert "export with batch_size=3" in sentence


def test_a_name_that_no_manifest_can_hold_is_refused(
    tmp_path: Path, dense_model: keras.Model
) -> None:
    assert "got the name 'two words'" in try_export(dense_model, tmp_path, name="two words")


def test_a_batch_needs_an_example(tmp_path: Path, dense_model: keras.Model) -> None:
    assert "got a batch of 0" in try_export(dense_model, tmp_path, evaluate_batch_size=0)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_model_can_be_loaded(tmp_path: Path, dense_model: keras.Model) -> None:
    dense_model.save(tmp_path / "model.keras")
    assert load(tmp_path / "model.keras").count_params() == dense_model.count_params()


def test_a_file_that_is_no_keras_model_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"not a zip")
    with pytest.raises(ExportError, match="cannot be opened by this Keras"):
        load(tmp_path / "model.keras")


def test_another_format_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"is not a \.keras file"):
        load(tmp_path / "model.h5")


def test_a_model_compiled_with_no_loss_needs_one(tmp_path: Path, dense_model: keras.Model) -> None:
    assert "compiled with no loss" in try_export(dense_model, tmp_path, loss=None)

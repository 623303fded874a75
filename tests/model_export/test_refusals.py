"""What cannot be exported is refused in one sentence that says why and what to do."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from pocketfed.model_export import export, load
from pocketfed.protocol.errors import ExportError, UnsupportedLayer
from pocketfed.protocol.plan import Plan

layers = keras.layers


def try_export(model: keras.Model, tmp_path: Path, **options: object) -> str:
    """The sentence with which the export of a small model is refused."""
    settings = {"loss": "mean_squared_error", "batch_size": 2, "evaluate_batch_size": 2}
    with pytest.raises(ExportError) as refusal:
        export(model, out=tmp_path / "out", **{**settings, **options})
    assert not (tmp_path / "out").exists()
    return f"{type(refusal.value).__name__}: {refusal.value}"


def sequential(shape: tuple[int, ...], *parts: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *parts], name="small")


class Halving(layers.Layer):
    """Halves its inputs until they are small; nobody knows how often."""

    def call(self, inputs):
        return keras.ops.while_loop(
            lambda x: keras.ops.max(keras.ops.abs(x)) > 0.1, lambda x: (x / 2,), (inputs,)
        )[0]


UNSUPPORTED = {
    "three-dimensional convolution": (
        lambda: sequential((4, 4, 4, 2), layers.Conv3D(3, 2, name="solid")),
        ["small/solid (Conv3D)", "Conv3DBackpropFilterV2", "use Conv2D"],
    ),
    "loop that is trained through": (
        lambda: sequential((6,), layers.Dense(4), Halving(name="halving")),
        ["halving (Halving)", "While", "fixed number of steps"],
    ),
    "stateful recurrent layer": (
        lambda: keras.Sequential(
            [keras.Input((5, 2), batch_size=4), layers.LSTM(4, stateful=True, name="memory")],
            name="small",
        ),
        ["memory (LSTM)", "from one batch to the next", "stateful=False"],
    ),
    "activity regularizer": (
        lambda: sequential((6,), layers.Dense(4, activity_regularizer="l2", name="calm")),
        ["small/calm (Dense)", "activity regularizer", "use a weight regularizer"],
    ),
    "batch normalization in a wrapper": (
        lambda: sequential((5, 2), layers.TimeDistributed(layers.BatchNormalization(name="norm"))),
        ["norm (BatchNormalization)", "wrapped", "trainable=False"],
    ),
    "spectral normalization": (
        lambda: sequential((6,), layers.SpectralNormalization(layers.Dense(4), name="bounded")),
        ["bounded (SpectralNormalization)", "If", "weight constraint"],
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_a_layer_that_cannot_be_lowered_is_named_with_a_replacement(
    case: str, tmp_path: Path
) -> None:
    build, words = UNSUPPORTED[case]
    sentence = try_export(build(), tmp_path)
    assert sentence.startswith(UnsupportedLayer.__name__)
    assert [word for word in words if word not in sentence] == []
    assert "\n" not in sentence


def test_an_unsupported_layer_is_found_inside_an_inner_model(tmp_path: Path) -> None:
    inner = sequential((4, 4, 4, 2), layers.Conv3D(3, 2, name="solid"))
    outer = keras.Input((4, 4, 4, 2))
    model = keras.Model(outer, layers.Dense(3)(inner(outer)))
    assert "small/solid (Conv3D)" in try_export(model, tmp_path)


def test_a_model_without_inputs_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([layers.Dense(3)], name="unbuilt")
    assert "unbuilt has no inputs yet; begin it with keras.Input" in try_export(model, tmp_path)


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    inputs = [keras.Input((3,)), keras.Input((3,))]
    model = keras.Model(inputs, layers.Dense(2)(layers.Add()(inputs)), name="pair")
    assert "pair has 2 inputs, expected one" in try_export(model, tmp_path)


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    x = keras.Input((3,))
    model = keras.Model(x, [layers.Dense(2)(x), layers.Dense(2)(x)], name="fork")
    assert "fork has 2 outputs, expected one" in try_export(model, tmp_path)


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

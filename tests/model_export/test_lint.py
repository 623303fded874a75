"""The op lint, on files built the right way and in the two classic wrong ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from pocketfed.model_export.proving.lint import lint
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.errors import (
    DamagedArtifact,
    ExportError,
    FlexRequired,
    UninitialisedVariables,
)
from pocketfed.runtime import quietly

MODULE_BYTES = 10_000


def converted(
    module: tf.Module,
    step: Any,
    folder: Path,
    *,
    flex: bool = False,
) -> bytes:
    with quietly():
        tf.saved_model.save(module, folder, signatures={"train": step.get_concrete_function()})
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        converter.experimental_enable_resource_variables = True
        if flex:
            converter.target_spec.supported_ops = [
                tf.lite.OpsSet.TFLITE_BUILTINS,
                tf.lite.OpsSet.SELECT_TF_OPS,
            ]
        return converter.convert()


def training(model: keras.Model) -> object:
    @tf.function(input_signature=[tf.TensorSpec((2, 6), name="x")], autograph=False)
    def train(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x) ** 2)
        for variable, gradient in zip(
            model.trainable_variables,
            tape.gradient(loss, [v.value for v in model.trainable_variables]),
            strict=True,
        ):
            variable.value.assign_sub(0.1 * gradient)
        return {"loss": loss}

    return train


def test_a_module_that_holds_only_the_keras_model_exports_no_first_values(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    module = tf.Module()
    module.model = model
    found = lint(converted(module, training(model), tmp_path))
    assert len(found.uninitialised) == 2
    with pytest.raises(UninitialisedVariables, match="2 of 2 variables have no first value"):
        found.require(weights_bytes=MODULE_BYTES)


def test_a_module_that_holds_the_variables_exports_them(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    module = tf.Module()
    module.tracked = [variable.value for variable in model.variables]
    found = lint(converted(module, training(model), tmp_path))
    assert (found.uninitialised, len(found.used)) == ((), 2)
    found.require(weights_bytes=MODULE_BYTES)


def test_a_first_signature_without_inputs_is_found(tmp_path: Path) -> None:
    module = tf.Module()
    module.weight = tf.Variable([1.0])

    @tf.function(input_signature=[], autograph=False)
    def get():
        return {"weight": module.weight + 1.0}

    found = lint(converted(module, get, tmp_path))
    assert found.uninitialised == ()
    with pytest.raises(ExportError, match="first signature of the model takes no inputs"):
        found.require(weights_bytes=MODULE_BYTES)


def test_a_flex_op_is_found(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, "relu")])
    module = tf.Module()
    module.tracked = [variable.value for variable in model.variables]
    found = lint(converted(module, training(model), tmp_path, flex=True))
    assert found.custom_ops == ("FlexReluGrad",)
    with pytest.raises(FlexRequired, match="FlexReluGrad"):
        found.require(weights_bytes=MODULE_BYTES)


def test_an_exported_model_has_builtin_ops_and_first_values_only(dense: Artifact) -> None:
    found = lint(dense.model)
    assert (found.custom_ops, found.uninitialised) == ((), ())
    assert found.ops == dense.manifest.ops
    assert {"BATCH_MATMUL", "ASSIGN_VARIABLE", "CALL_ONCE"} <= found.ops.keys()
    assert found.minimum_runtime == dense.manifest.minimum_runtime
    assert found.minimum_runtime[0].isdigit()


def test_a_model_that_stores_its_weights_twice_is_too_large(dense: Artifact) -> None:
    found = lint(dense.model + bytes(300_000))
    with pytest.raises(ExportError, match="stored twice"):
        found.require(weights_bytes=4)


def test_other_bytes_are_no_model() -> None:
    with pytest.raises(DamagedArtifact, match=r"not a \.tflite file"):
        lint(b"something else")

"""Scopes: what trains, what travels, what stays, and that the caller's model stays as it was."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from pocketfed.model_export import export
from pocketfed.model_export.proving.golden import Golden
from pocketfed.model_export.reading.scope import scoped
from pocketfed.protocol.artifact import GOLDEN, Artifact
from pocketfed.protocol.errors import ExportError
from pocketfed.runtime import Runtime

layers = keras.layers
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def convolutional() -> keras.Model:
    """Two convolutions, each with batch normalization, and two dense layers: 693 weights."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(6, 3, padding="same", name="conv_1"),
            layers.BatchNormalization(name="norm_1"),
            layers.ReLU(),
            layers.Conv2D(4, 3, strides=2, use_bias=False, name="conv_2"),
            layers.BatchNormalization(name="norm_2"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(8, name="hidden"),
            layers.Dense(3, name="logits"),
        ],
        name="net",
    )


def attentive() -> keras.Model:
    keras.utils.set_random_seed(3)
    tokens = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 6, name="words")(tokens)
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 3)(x, x)]))
    x = layers.Dense(6, "tanh", name="mixed")(x)
    return keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)), name="reader")


def exported(model: keras.Model, out: Path, *, trainable: str) -> Artifact:
    """An export compares ten steps with Keras, so having an artifact is having parity."""
    return export(
        model, out=out, loss=LOSS, batch_size=4, evaluate_batch_size=4, trainable=trainable
    )


def trained(model: keras.Model, preset: str) -> set[str]:
    with scoped(model, preset, seed=0) as lent:
        return {v.path.removeprefix(f"{model.name}/") for v in lent.trainable_variables}


NORMS = {f"norm_{n}/{name}" for n in (1, 2) for name in ("gamma", "beta")}
HEAD = {"logits/kernel", "logits/bias"}
TRAINED = {
    "full": {"conv_1/kernel", "conv_1/bias", "conv_2/kernel", *NORMS, "hidden/kernel"}
    | {"hidden/bias", *HEAD},
    "bn_frozen": {"conv_1/kernel", "conv_1/bias", "conv_2/kernel", "hidden/kernel", "hidden/bias"}
    | HEAD,
    "last:3": {"norm_2/gamma", "norm_2/beta", "hidden/kernel", "hidden/bias", *HEAD},
    "last:6": {"conv_1/kernel", "conv_1/bias", "conv_2/kernel", *NORMS, "hidden/kernel"}
    | {"hidden/bias", *HEAD},
    "head": HEAD,
    "bias": {"conv_1/bias", "norm_1/beta", "norm_2/beta", "hidden/bias", *HEAD},
    "lora:2": {
        f"{layer}/lora_kernel_{side}"
        for layer in ("conv_1", "conv_2", "hidden", "logits")
        for side in "ab"
    },
}


@pytest.mark.parametrize("preset", TRAINED)
def test_a_preset_lets_train_what_it_says(preset: str) -> None:
    assert trained(convolutional(), preset) == TRAINED[preset]


def test_a_normalization_before_the_last_layers_works_as_in_inference() -> None:
    with scoped(convolutional(), "last:3", seed=0) as lent:
        flags = [layer.trainable for layer in lent.layers if "norm" in layer.name]
    assert flags == [False, True]


def test_the_bias_scope_has_every_normalization_work_as_in_inference() -> None:
    with scoped(convolutional(), "bias", seed=0) as lent:
        flags = [layer.trainable for layer in lent.layers if "norm" in layer.name]
    assert flags == [False, False]


def test_the_last_layers_are_found_inside_an_inner_model() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="deep")], name="inner")
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2, name="top")(inner(x)), name="outer")
    assert {path.split("/")[-2] for path in trained(model, "last:2")} == {"deep", "top"}
    assert {path.split("/")[-2] for path in trained(model, "head")} == {"top"}


def test_the_flags_of_a_partly_frozen_model_come_back_even_after_a_failure() -> None:
    model = convolutional()
    model.layers[0].trainable = False
    model.layers[3].kernel.trainable = False
    before = [v.path for v in model.trainable_variables]
    flags = [layer.trainable for layer in model._flatten_layers()]
    for preset in ("bias", "last:2", "bn_frozen"):
        with pytest.raises(KeyError), scoped(model, preset, seed=0):
            raise KeyError
        assert [v.path for v in model.trainable_variables] == before
        assert [layer.trainable for layer in model._flatten_layers()] == flags


def test_full_is_what_the_flags_of_the_model_say() -> None:
    model = convolutional()
    model.layers[0].trainable = False
    assert trained(model, "full") == TRAINED["full"] - {"conv_1/kernel", "conv_1/bias"}


REFUSED = {
    "half": "got trainable='half', expected full, bn_frozen, last:K, head, bias or lora:R",
    "last": "expected full, bn_frozen, last:K",
    "last:0": "expected a number from 1 on after the :",
    "last:two": "expected a number from 1 on after the :",
    "last:7": "net has 6 layers with weights; expected last:1 to last:6",
    "head:1": "expected full, bn_frozen",
    "lora:-1": "expected a number from 1 on after the :",
    "lora:9": "no kernel of net has a rank above 8; expected lora:1 to lora:8",
}


@pytest.mark.parametrize("preset", REFUSED)
def test_a_preset_that_does_not_fit_is_refused_with_what_was_expected(preset: str) -> None:
    with pytest.raises(ExportError) as refusal, scoped(convolutional(), preset, seed=0):
        pass
    assert REFUSED[preset] in str(refusal.value)


def test_a_model_that_takes_no_factors_is_named() -> None:
    model = keras.Sequential([keras.Input((6, 6, 2)), layers.DepthwiseConv2D(3)], name="thin")
    with (
        pytest.raises(ExportError, match="thin has no layer that takes lora:2"),
        scoped(model, "lora:2", seed=0),
    ):
        pass


def test_a_constraint_that_factors_would_break_is_named() -> None:
    dense = layers.Dense(4, kernel_constraint="non_neg", name="positive")
    model = keras.Sequential([keras.Input((6,)), dense], name="held")
    with (
        pytest.raises(ExportError, match=r"held/positive does not take lora:2: .*constraint"),
        scoped(model, "lora:2", seed=0),
    ):
        pass


def test_the_copy_with_factors_computes_what_the_model_does_and_the_seed_draws_them() -> None:
    model, x = convolutional(), np.random.default_rng(0).random((2, 8, 8, 2), np.float32)
    drawn = []
    for seed in (0, 0, 1):
        with scoped(model, "lora:2", seed=seed) as copy:
            np.testing.assert_array_equal(copy(x), model(x))
            drawn.append(copy.trainable_variables[0].numpy())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not any("lora" in variable.path for variable in model.variables)


SLOW = ("bn_frozen", "last:3", "lora:2")


@pytest.mark.parametrize(
    "preset",
    ["bias", *(pytest.param(preset, marks=pytest.mark.slow) for preset in SLOW)],
)
def test_ten_steps_of_a_preset_equal_those_of_keras_and_leave_the_model_alone(
    preset: str, tmp_path: Path
) -> None:
    model = convolutional()
    before = [(v.path, v.trainable, v.numpy()) for v in model.variables]
    artifact = exported(model, tmp_path / "a", trainable=preset)
    assert artifact.manifest.trainable == preset
    assert {entry.name for entry in artifact.manifest.spec if entry.trainable} == {
        f"net/{path}" for path in TRAINED[preset]
    }
    for variable, (path, flag, value) in zip(model.variables, before, strict=True):
        assert (variable.path, variable.trainable) == (path, flag)
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("preset", ["lora:2", pytest.param("bias", marks=pytest.mark.slow)])
def test_ten_steps_of_an_attentive_model_equal_those_of_keras(preset: str, tmp_path: Path) -> None:
    model = attentive()
    artifact = exported(model, tmp_path / "a", trainable=preset)
    travelling = {entry.name.rsplit("/")[-1] for entry in artifact.manifest.spec}
    names = {"lora_kernel_a", "lora_kernel_b", "lora_embeddings_a", "lora_embeddings_b"}
    assert travelling == (names if preset == "lora:2" else {"bias", "beta", "kernel"})


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return exported(convolutional(), tmp_path_factory.mktemp("head") / "a", trainable="head")


def test_a_head_travels_alone(head: Artifact) -> None:
    assert head.manifest.weight_spec.size == 8 * 3 + 3
    assert head.manifest.frozen_weights == 693 - 27
    assert head.manifest.files["checkpoint.safetensors"].bytes < 400


def test_frozen_weights_do_not_move(head: Artifact) -> None:
    golden = Golden.from_bytes(head.bytes_of(GOLDEN))
    runtime = Runtime(head.model)
    x = golden.evaluate_x
    before = runtime.call("infer", x)["outputs"]
    for step in range(3):
        runtime.train(golden.step(step))
    assert not np.array_equal(runtime.call("infer", x)["outputs"], before)
    runtime.weights = head.checkpoint.vector
    np.testing.assert_array_equal(runtime.call("infer", x)["outputs"], before)


def test_a_phone_convolves_with_frozen_kernels_as_constants(head: Artifact) -> None:
    assert head.manifest.ops["CONV_2D"] == 2 * 3
    assert head.manifest.ops["VAR_HANDLE"] <= 2 * 6


def test_a_model_that_cannot_be_copied_is_named() -> None:
    class Odd(layers.Layer):
        def __init__(self, width: int, scale: object) -> None:
            super().__init__()
            self.width, self.scale = width, scale

        def call(self, inputs):
            return inputs * 2.0

    parts = [layers.Dense(4), Odd(3, object())]
    model = keras.Sequential([keras.Input((6,)), *parts], name="odd")
    with (
        pytest.raises(ExportError, match="odd cannot be copied, which lora needs"),
        scoped(model, "lora:2", seed=0),
    ):
        pass

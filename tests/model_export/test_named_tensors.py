"""Several inputs, several outputs and subclassed models, from the export to the verified folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pocketfed.model_export import export, load, verify
from pocketfed.model_export.proving.golden import Golden
from pocketfed.model_export.reading.functional import functional
from pocketfed.model_export.reading.ports import inputs_of, outputs_of
from pocketfed.model_export.training.objective import objective_of
from pocketfed.protocol.artifact import GOLDEN, Artifact
from pocketfed.protocol.errors import DamagedArtifact, ExportError, UnsupportedLayer
from pocketfed.runtime import Runtime, quietly
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save

layers = keras.layers
CLASSES = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def crossed() -> keras.Model:
    """Two inputs and three outputs, one of them without a loss; compiled."""
    keras.utils.set_random_seed(2)
    words = keras.Input((4,), dtype="int32", name="the words")
    inner = keras.Sequential([keras.Input((4,), dtype="int32"), layers.Embedding(3, 2)])
    image = keras.Input((5,), name="image")
    hidden = layers.Concatenate()([layers.Flatten()(inner(words)), layers.Dense(4)(image)])
    outputs = {
        "kind": layers.Dense(3)(hidden),
        "age": layers.Dense(1)(hidden),
        "hidden": hidden,
    }
    model = keras.Model({"the words": words, "image": image}, outputs, name="crossed")
    loss = {"kind": CLASSES, "age": "mse"}
    model.compile("sgd", loss=loss, loss_weights={"kind": 1.0, "age": 0.5})
    return model


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Exported, hence compared with Keras; do not change its folder."""
    out = tmp_path_factory.mktemp("artifacts") / "crossed"
    return export(crossed(), out=out, batch_size=4, evaluate_batch_size=3)


def test_every_tensor_has_the_name_keras_knows_it_by(artifact: Artifact) -> None:
    described = {
        name: ({t.name: t.shape for t in s.inputs}, {t.name: t.shape for t in s.outputs})
        for name, s in artifact.manifest.signatures.items()
        if name in ("train", "evaluate", "infer")
    }
    batch = {"x_image": (4, 5), "x_the_words": (4, 4), "y_age": (4, 1), "y_kind": (4,)}
    sums = ("loss_sum", "correct_sum", "weight_sum", "correct_sum_age", "correct_sum_kind")
    assert described == {
        "train": ({**batch, "weight": (4,), "learning_rate": ()}, {"loss": ()}),
        "evaluate": (
            {name: (3, *shape[1:]) for name, shape in {**batch, "weight": (4,)}.items()},
            dict.fromkeys(sums, ()),
        ),
        "infer": (
            {"x_image": (3, 5), "x_the_words": (3, 4)},
            {"outputs_age": (3, 1), "outputs_hidden": (3, 12), "outputs_kind": (3, 3)},
        ),
    }


def test_the_manifest_says_which_loss_is_whose_and_how_much_it_counts(artifact: Artifact) -> None:
    losses = "age:mean_squared_error,kind:sparse_categorical_crossentropy"
    assert artifact.manifest.loss == losses
    assert artifact.manifest.loss_weights == {"age": 0.5, "kind": 1.0}


def test_verify_has_a_row_for_every_output(artifact: Artifact) -> None:
    names = {check.name for check in verify(artifact.folder).checks}
    assert {f"outputs_{name} of an inference" for name in ("age", "hidden", "kind")} <= names
    assert "correct_sum_kind of an evaluation" in names


def test_the_first_sum_of_correct_examples_is_that_of_the_first_output(artifact: Artifact) -> None:
    golden = Golden.from_bytes(artifact.bytes_of(GOLDEN))
    sums = Runtime(artifact.model).call("evaluate", golden.evaluation)
    assert sums["correct_sum"] == sums["correct_sum_age"] == 0.0
    assert set(golden.step(0)) == {
        tensor.name for tensor in artifact.manifest.signatures["train"].inputs
    }


def test_golden_tokens_are_valid_for_an_embedding_of_an_inner_model(artifact: Artifact) -> None:
    tokens = Golden.from_bytes(artifact.bytes_of(GOLDEN)).x["x_the_words"]
    assert set(np.unique(tokens)) == {0, 1, 2}


def test_golden_vectors_without_inputs_are_refused(artifact: Artifact) -> None:
    arrays = load_arrays(artifact.bytes_of(GOLDEN))
    kept = {name: array for name, array in arrays.items() if not name.startswith("x/")}
    with pytest.raises(DamagedArtifact, match="golden vectors lack 'x'"):
        Golden.from_bytes(save(kept))


def test_tensors_whose_names_are_keras_counters_are_numbered() -> None:
    inputs = [keras.Input((2,)), keras.Input((3,))]
    dense = layers.Dense(2, name="same")
    shared = [dense(inputs[0]), dense(layers.Dense(2)(inputs[1]))]
    model = keras.Model(inputs, shared)
    assert [port.suffix for port in inputs_of(model)] == ["_0", "_1"]
    assert [port.suffix for port in outputs_of(model)] == ["_0", "_1"]


def test_names_that_become_the_same_identifier_are_numbered() -> None:
    inputs = [keras.Input((2,), name="a b"), keras.Input((2,), name="a.b")]
    model = keras.Model(inputs, layers.Add()(inputs))
    assert [port.suffix for port in inputs_of(model)] == ["_0", "_1"]


def test_a_nested_structure_is_named_by_its_path() -> None:
    x = keras.Input((2,))
    one = layers.Dense(1)
    model = keras.Model(x, [{"up": one(x), "down": [layers.Dense(1)(x)]}, layers.Dense(1)(x)])
    assert [port.name for port in outputs_of(model)] == ["0_down_0", "0_up", "1"]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Two outputs in a list, compiled with other loss weights than it is exported with."""
    x = keras.Input((4,))
    outputs = [layers.Dense(units, name=name)(x) for name, units in (("zeta", 3), ("alpha", 2))]
    model = keras.Model(x, outputs)
    model.compile("sgd", loss=[CLASSES, "mse"], loss_weights=[0.5, 0.5])
    return export(
        model,
        out=tmp_path_factory.mktemp("artifacts") / "listed",
        loss_weights=[1.0, 2.0],
        labels=("a", "b", "c"),
        batch_size=2,
        evaluate_batch_size=2,
    )


def test_loss_weights_that_are_given_replace_those_of_the_compiled_model(listed: Artifact) -> None:
    assert listed.manifest.loss_weights == {"zeta": 1.0, "alpha": 2.0}


def test_signatures_and_labels_follow_the_order_of_the_outputs(listed: Artifact) -> None:
    signatures = listed.manifest.signatures
    assert [t.name for t in signatures["infer"].outputs] == ["outputs_zeta", "outputs_alpha"]
    assert [t.name for t in signatures["train"].inputs][:3] == ["x", "y_zeta", "y_alpha"]
    sums = Runtime(listed.model).call(
        "evaluate", Golden.from_bytes(listed.bytes_of(GOLDEN)).evaluation
    )
    assert sums["correct_sum"] == sums["correct_sum_zeta"]


def test_a_loss_for_one_output_of_two_leaves_the_other_out() -> None:
    objective = objective_of(crossed(), {"kind": CLASSES})
    assert objective.name == "kind:sparse_categorical_crossentropy"
    assert [spec.name for spec in objective.label_specs(2)] == ["y_kind"]


@keras.saving.register_keras_serializable("pocketfed_tests")
class Block(layers.Layer):
    """A layer of the user's own with batch normalization inside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense, self.norm = layers.Dense(4), layers.BatchNormalization()

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.dense.build(shape)
        self.norm.build((*shape[:-1], 4))

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.norm(self.dense(inputs), training=training)


@keras.saving.register_keras_serializable("pocketfed_tests")
class Mine(keras.Model):
    """Tokens through an Embedding and a block of its own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embed, self.block = layers.Embedding(5, 3), Block()
        self.last = layers.Dense(3)

    def call(self, inputs: Any, training: bool = False) -> Any:
        pooled = keras.ops.mean(self.embed(inputs), axis=1)
        return self.last(self.block(pooled, training=training))


class Solid(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deep = layers.Conv3D(2, 2, name="deep")

    def call(self, inputs: Any) -> Any:
        return self.deep(inputs)


def mine() -> keras.Model:
    keras.utils.set_random_seed(4)
    model = Mine(name="mine")
    model(np.zeros((2, 4), np.int32))
    return model


def test_a_subclassed_model_keeps_its_weights_and_their_paths_once_saved(tmp_path: Path) -> None:
    first = mine()
    first.compile("sgd", loss=CLASSES)
    before = [variable.numpy() for variable in first.variables]
    with quietly():
        first.save(tmp_path / "mine.keras")
        model = load(tmp_path / "mine.keras")
    artifact = export(model, out=tmp_path / "a", batch_size=3)
    assert artifact.manifest.name == "mine"
    assert artifact.manifest.loss == "sparse_categorical_crossentropy"
    assert [e.name for e in artifact.manifest.spec] == [v.path for v in model.variables]
    for variable, array in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)
        np.testing.assert_array_equal(artifact.checkpoint[variable.path], array)
    (x,) = (t for t in artifact.manifest.signatures["infer"].inputs)
    assert (x.name, x.dtype, x.shape) == ("x", "int32", (100, 4))


def test_a_saved_class_that_is_not_imported_is_named(tmp_path: Path) -> None:
    model = Solid()
    model(np.ones((1, 3, 3, 3, 1), np.float32))
    with quietly():
        model.save(tmp_path / "solid.keras")
    with pytest.raises(ExportError, match=r"class 'Solid'; only a Python program that imports"):
        load(tmp_path / "solid.keras")


def test_inputs_can_be_given_for_a_model_that_was_never_called() -> None:
    known = functional(Mine(), keras.Input((6,), dtype="int32", name="tokens"))
    assert [(port.name, port.shape) for port in inputs_of(known)] == [("tokens", (6,))]
    assert known.count_params() == 5 * 3 + 16 + 16 + 15


def test_inputs_close_the_open_sides_of_a_model() -> None:
    x = keras.Input((None, 3))
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    known = functional(model, keras.Input((7, 3)))
    assert [port.shape for port in inputs_of(known)] == [(7, 3)]


def test_a_layer_inside_a_subclassed_model_is_named_with_a_replacement(tmp_path: Path) -> None:
    model = Solid()
    model(np.ones((1, 3, 3, 3, 1), np.float32))
    with pytest.raises(UnsupportedLayer, match=r"deep \(Conv3D\) needs .*; use Conv2D"):
        export(model, out=tmp_path / "a", loss="mse", batch_size=2)

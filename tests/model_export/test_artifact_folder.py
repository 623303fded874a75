"""The folder: what lies in it, that it changes whole or not at all, that tampering shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from pocketfed.model_export import export, load, verify
from pocketfed.model_export.converting.artifact import staged
from pocketfed.model_export.proving.drawing import golden_of
from pocketfed.model_export.proving.golden import Golden
from pocketfed.model_export.training.losses import loss_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Trainee
from pocketfed.protocol.artifact import CHECKPOINT, GOLDEN, MANIFEST, MODEL, Artifact
from pocketfed.protocol.errors import DamagedArtifact, ExportError, ParityFailure
from pocketfed.runtime import quietly


@pytest.fixture
def copy(dense: Artifact, tmp_path: Path) -> Path:
    shutil.copytree(dense.folder, tmp_path / "copy")
    return tmp_path / "copy"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_holds_four_files_and_the_manifest_names_three(dense: Artifact) -> None:
    assert set(contents(dense.folder)) == {MANIFEST, MODEL, CHECKPOINT, GOLDEN}
    assert set(dense.manifest.files) == {MODEL, CHECKPOINT, GOLDEN}


def test_the_manifest_tells_an_app_every_shape_it_needs(dense: Artifact) -> None:
    described = {
        name: (
            {tensor.name: (tensor.dtype, tensor.shape) for tensor in signature.inputs},
            {tensor.name: (tensor.dtype, tensor.shape) for tensor in signature.outputs},
        )
        for name, signature in dense.manifest.signatures.items()
    }
    scalar, flat = ("float32", ()), ("float32", (53,))
    assert described == {
        "train": (
            {
                "x": ("float32", (4, 6)),
                "y": ("int32", (4,)),
                "weight": ("float32", (4,)),
                "learning_rate": scalar,
            },
            {"loss": scalar},
        ),
        "evaluate": (
            {"x": ("float32", (5, 6)), "y": ("int32", (5,)), "weight": ("float32", (5,))},
            {"loss_sum": scalar, "correct_sum": scalar, "weight_sum": scalar},
        ),
        "infer": ({"x": ("float32", (5, 6))}, {"outputs": ("float32", (5, 3))}),
        "get_weights": ({}, {"weights": flat}),
        "set_weights": ({"weights": flat}, {"checksum": scalar}),
    }


def test_the_layout_is_that_of_the_model_by_keras_path(
    dense: Artifact, dense_model: keras.Model
) -> None:
    assert [entry.name for entry in dense.manifest.spec] == [
        variable.path for variable in dense_model.variables
    ]
    for variable in dense_model.variables:
        np.testing.assert_array_equal(dense.checkpoint[variable.path], variable.numpy())


def test_a_frozen_layer_is_not_in_the_layout(dense_model: keras.Model) -> None:
    dense_model.layers[0].trainable = False
    trainee = Trainee(dense_model, loss_of("mean_squared_error"), optimizer_of("sgd"), 4, 5)
    assert [entry.name for entry in trainee.layout.spec.entries] == [
        "dense/logits/kernel",
        "dense/logits/bias",
    ]


def test_golden_batches_are_padded_here_and_there(dense: Artifact) -> None:
    golden = Golden.from_bytes(dense.bytes_of(GOLDEN))
    assert golden.weight.sum(axis=1).tolist() == [4, 4, 2, 4, 4, 1, 4, 4, 1, 1]
    assert len(set(golden.learning_rate.tolist())) == 2


def test_the_same_seed_draws_the_same_golden_vectors(dense_model: keras.Model) -> None:
    trainee = Trainee(dense_model, loss_of("mean_squared_error"), optimizer_of("sgd"), 4, 5)
    first, again, other = (golden_of(trainee, seed=seed).to_bytes() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", [MODEL, CHECKPOINT, GOLDEN])
def test_a_changed_file_is_refused(name: str, copy: Path) -> None:
    body = bytearray((copy / name).read_bytes())
    body[len(body) // 2] ^= 1
    (copy / name).write_bytes(body)
    with pytest.raises(DamagedArtifact, match=name):
        verify(copy)


@pytest.mark.parametrize("name", [MANIFEST, MODEL])
def test_a_missing_file_is_refused(name: str, copy: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(DamagedArtifact, match=name):
        verify(copy)


def test_a_failed_export_leaves_the_old_artifact_alone(
    copy: Path, mixing_model: keras.Model
) -> None:
    before = contents(copy)
    with pytest.raises(ParityFailure, match="do not ship") as failure:
        export(mixing_model, out=copy, loss="mean_squared_error", batch_size=4)
    assert failure.value.max_error > 1e-5
    assert contents(copy) == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_new_export_replaces_the_artifact_and_leaves_the_model_as_it_was(
    copy: Path, dense_model: keras.Model
) -> None:
    (copy / "left over").touch()
    before = [variable.numpy() for variable in dense_model.variables]
    export(dense_model, out=copy, loss="mean_squared_error", batch_size=2)
    assert Artifact.read(copy).manifest.batch_size == 2
    assert set(contents(copy)) == {MANIFEST, MODEL, CHECKPOINT, GOLDEN}
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    for variable, array in zip(dense_model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with (
        pytest.raises(ExportError, match="exists and is not an artifact"),
        staged(tmp_path / "photos"),
    ):
        pass
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_the_loss_is_the_one_a_saved_model_was_compiled_with(
    tmp_path: Path, dense: Artifact, dense_model: keras.Model
) -> None:
    dense_model.compile(
        optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    with quietly():
        dense_model.save(tmp_path / "model.keras")
    given = export(
        load(tmp_path / "model.keras"), out=tmp_path / "a", batch_size=4, evaluate_batch_size=5
    )
    assert given.manifest.loss == "sparse_categorical_crossentropy"
    assert given.bytes_of(GOLDEN) == dense.bytes_of(GOLDEN)

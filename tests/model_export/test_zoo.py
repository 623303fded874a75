"""The models of the paper, as it describes them, exported and verified."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pocketfed.model_export import ZOO, export_zoo, verify
from pocketfed.protocol.errors import ExportError

SHAPES = {
    "mnist_2nn": [(28, 28), (784,), (200,), (200,), (10,)],
    "mnist_cnn": [
        (28, 28),
        (28, 28, 1),
        (28, 28, 32),
        (14, 14, 32),
        (14, 14, 64),
        (7, 7, 64),
        (3136,),
        (512,),
        (10,),
    ],
}
SIZES = {"mnist_2nn": 199_210, "mnist_cnn": 1_663_370}


@pytest.mark.parametrize("name", ZOO)
def test_layers_and_weights_are_those_of_the_paper(name: str) -> None:
    model = ZOO[name].build(0)
    outputs = [layer.output.shape[1:] for layer in model.layers]
    assert [model.inputs[0].shape[1:], *outputs] == SHAPES[name]
    assert model.count_params() == SIZES[name]


@pytest.mark.parametrize("name", ZOO)
def test_the_seed_decides_the_weights(name: str) -> None:
    first, again, other = (ZOO[name].build(seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(left, right) for left, right in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_layers_of_one_shape_begin_with_different_weights() -> None:
    model = ZOO["mnist_2nn"].build(0)
    hidden = [layer.get_weights()[0][:200] for layer in model.layers if layer.name != "flatten"]
    assert not np.array_equal(hidden[0], hidden[1])


def test_the_2nn_exports_and_passes(tmp_path: Path) -> None:
    artifact = export_zoo("mnist_2nn", out=tmp_path / "mnist_2nn", seed=0)
    assert artifact.manifest.weight_spec.size == SIZES["mnist_2nn"]
    assert artifact.manifest.labels == tuple("0123456789")
    assert artifact.manifest.input_scale.scale == pytest.approx(1 / 255)
    assert (artifact.manifest.batch_size, artifact.manifest.evaluate_batch_size) == (10, 100)
    verify(artifact.folder).require()


@pytest.mark.slow
def test_the_cnn_exports_and_passes(tmp_path: Path) -> None:
    artifact = export_zoo("mnist_cnn", out=tmp_path / "mnist_cnn", seed=0)
    assert artifact.manifest.weight_spec.size == SIZES["mnist_cnn"]
    verify(artifact.folder).require()


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="only mnist_2nn, mnist_cnn"):
        export_zoo("mnist_3nn", out=tmp_path / "a")


@pytest.mark.slow
def test_an_export_writes_nothing_to_the_terminal(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pocketfed.model_export import export_zoo;"
        "export_zoo('mnist_2nn', out=Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")

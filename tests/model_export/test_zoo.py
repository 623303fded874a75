"""The models of the paper, as it describes them, exported and verified."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from pocketfed.model_export import ZOO, export_zoo, verify, zoo_model
from pocketfed.protocol.errors import ExportError

OUTPUTS = {
    "mnist_2nn": [(784,), (200,), (200,), (10,)],
    "mnist_cnn": [
        (28, 28, 1),
        (28, 28, 32),
        (14, 14, 32),
        (14, 14, 64),
        (7, 7, 64),
        (3136,),
        (512,),
        (10,),
    ],
    "cifar_cnn": [
        (24, 24, 64),
        (12, 12, 64),
        (12, 12, 64),
        (6, 6, 64),
        (2304,),
        (384,),
        (192,),
        (10,),
    ],
    "char_lstm": [(80, 8), (80, 256), (80, 256), (80, 90)],
    "word_lstm": [(10, 192), (10, 256), (10, 10_000)],
}
INPUTS = {
    "mnist_2nn": (28, 28),
    "mnist_cnn": (28, 28),
    "cifar_cnn": (24, 24, 3),
    "char_lstm": (80,),
    "word_lstm": (10,),
    "mobilenet_v2": (96, 96, 3),
}
SIZES = {
    "mnist_2nn": 199_210,
    "mnist_cnn": 1_663_370,
    "cifar_cnn": 1_068_298,
    "char_lstm": 820_522,
    "word_lstm": 4_949_776,
    "mobilenet_v2": 423_018,
}


@functools.cache
def built(name: str) -> keras.Model:
    """A model of the zoo as it is by default; do not change its weights."""
    return zoo_model(name)


def test_the_zoo_is_what_is_tested_here() -> None:
    assert ZOO.keys() == SIZES.keys() == INPUTS.keys()


@pytest.mark.parametrize("name", OUTPUTS)
def test_layers_are_those_of_the_paper(name: str) -> None:
    assert [layer.output.shape[1:] for layer in built(name).layers] == OUTPUTS[name]


@pytest.mark.parametrize("name", ZOO)
def test_weights_and_inputs_are_as_many_as_is_said(name: str) -> None:
    model = built(name)
    assert model.inputs[0].shape[1:] == INPUTS[name]
    assert model.count_params() == SIZES[name]
    assert len(ZOO[name].labels) in (0, model.outputs[0].shape[-1])


@pytest.mark.parametrize("name", ZOO)
def test_the_seed_decides_the_weights(name: str) -> None:
    first = built(name).get_weights()
    again, other = (zoo_model(name, seed=seed).get_weights() for seed in (0, 1))
    assert all(np.array_equal(left, right) for left, right in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_the_characters_of_a_language_can_be_counted_otherwise() -> None:
    assert zoo_model("char_lstm", vocabulary=258).count_params() == 865_042


def test_residual_branches_begin_at_zero() -> None:
    model = built("mobilenet_v2")
    gammas = [v for v in model.variables if v.name == "gamma" and not np.any(v.numpy())]
    assert len(gammas) == sum(type(layer).__name__ == "Add" for layer in model.layers) == 10


@pytest.mark.parametrize(
    ("name", "vocabulary", "sentence"),
    [("mnist_2nn", 90, "mnist_2nn is no language model"), ("char_lstm", 1, "at least two tokens")],
)
def test_a_vocabulary_that_does_not_fit_is_refused(
    name: str, vocabulary: int, sentence: str
) -> None:
    with pytest.raises(ExportError, match=sentence):
        zoo_model(name, vocabulary=vocabulary)


@pytest.mark.parametrize("name", ZOO)
def test_no_two_layers_begin_with_the_same_weights(name: str) -> None:
    drawn = [weights for weights in built(name).get_weights() if weights.ndim > 1]
    scaled = [(weights / np.abs(weights).max()).tobytes() for weights in drawn]
    assert len(set(scaled)) == len(scaled)
    starts = {np.ravel(weights / np.abs(weights).max())[:4].tobytes() for weights in drawn}
    assert len(starts) == len(drawn)


def test_the_2nn_exports_and_passes(tmp_path: Path) -> None:
    artifact = export_zoo("mnist_2nn", out=tmp_path / "mnist_2nn", seed=0)
    assert artifact.manifest.weight_spec.size == SIZES["mnist_2nn"]
    assert artifact.manifest.labels == tuple("0123456789")
    assert artifact.manifest.input_scale.scale == pytest.approx(1 / 255)
    assert (artifact.manifest.batch_size, artifact.manifest.evaluate_batch_size) == (10, 100)
    verify(artifact.folder).require()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in ZOO if name not in ("mnist_2nn", "mobilenet_v2")]
)
def test_the_others_of_the_paper_export_and_pass(name: str, tmp_path: Path) -> None:
    """What fails a check is not exported."""
    artifact = export_zoo(name, out=tmp_path / name)
    assert artifact.manifest.weight_spec.size == SIZES[name]
    assert artifact.manifest.files["model.tflite"].bytes < 1.15 * 4 * SIZES[name]


@pytest.mark.slow
def test_the_head_of_a_mobilenet_exports_and_passes(tmp_path: Path) -> None:
    artifact = export_zoo("mobilenet_v2", out=tmp_path / "head", trainable="head")
    assert artifact.manifest.weight_spec.size == 1280 * 10 + 10
    assert artifact.manifest.frozen_weights == SIZES["mobilenet_v2"] - 12_810


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

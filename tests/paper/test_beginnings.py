"""Other beginnings are in the exported model: first weights, and how raw pixels become inputs."""

from __future__ import annotations

import numpy as np
import pytest
from pocketfed.paper.beginnings import CENTRED, MEANINGS, WEIGHTS, Beginning
from pocketfed.paper.running import artifact_of
from pocketfed.paper.setups import TWO_NN, TWO_NN_CENTRED, TWO_NN_WEIGHTS

pytestmark = pytest.mark.slow
INPUTS = {"hidden_1": 784, "hidden_2": 200, "logits": 200}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("artifacts")


def parts(artifact) -> dict[str, np.ndarray]:
    weights = artifact.checkpoint
    return {
        entry.name: weights.vector[entry.offset : entry.offset + entry.size]
        for entry in weights.spec.entries
    }


def test_every_beginning_is_explained() -> None:
    assert set(MEANINGS) == set(WEIGHTS) == set(TWO_NN_WEIGHTS)


@pytest.mark.parametrize(
    ("weights", "deviation_of"),
    [
        ("normal", lambda inputs: 0.1),
        ("uniform", lambda inputs: 0.1 / 12**0.5),
        ("fan-in", lambda inputs: (3.0 * inputs) ** -0.5),
    ],
)
def test_first_weights_are_spread_as_they_say(folder, weights, deviation_of) -> None:
    found = parts(artifact_of(TWO_NN_WEIGHTS[weights], 10, folder))
    for layer, inputs in INPUTS.items():
        kernel, bias = (
            next(part for name, part in found.items() if layer in name and kind in name)
            for kind in ("kernel", "bias")
        )
        assert abs(kernel.mean()) < 0.1 * kernel.std()
        assert kernel.std() == pytest.approx(deviation_of(inputs), rel=0.05)
        assert bool(bias.any()) == (weights == "fan-in")


def test_centred_pixels_begin_at_the_weights_of_the_zoo(folder) -> None:
    centred, usual = (artifact_of(setup, 10, folder) for setup in (TWO_NN_CENTRED, TWO_NN))
    assert np.array_equal(centred.checkpoint.vector, usual.checkpoint.vector)
    scale = centred.manifest.input_scale
    assert [(raw - scale.offset) * scale.scale for raw in (0, 255)] == [-1.0, 1.0]
    assert usual.manifest.input_scale != scale
    assert Beginning(input_scale=scale) == CENTRED

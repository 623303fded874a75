"""Small models, and the artifacts they become."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from pocketfed.model_export import export
from pocketfed.protocol.artifact import Artifact

layers = keras.layers


def _dense_model() -> keras.Model:
    keras.utils.set_random_seed(1)
    hidden = layers.Dense(5, activation="relu", name="hidden")
    return keras.Sequential(
        [keras.Input((6,)), hidden, layers.Dense(3, name="logits")], name="dense"
    )


def _export_dense(out: Path) -> Artifact:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return export(_dense_model(), out=out, loss=loss, batch_size=4, evaluate_batch_size=5)


@pytest.fixture
def dense_model() -> keras.Model:
    """6 inputs, 5 ReLU, 3 logits; always with the same weights."""
    return _dense_model()


class Centred(layers.Layer):
    """Subtracts the mean of the batch, hence notices padding."""

    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=0, keepdims=True)


@pytest.fixture
def mixing_model() -> keras.Model:
    """Converts well, but cannot pass: its examples depend on one another."""
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(3), Centred(), layers.Dense(3)], name="mixing"
    )


@pytest.fixture(scope="session")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The dense model exported once; do not change its folder."""
    return _export_dense(tmp_path_factory.mktemp("artifacts") / "dense")


@pytest.fixture
def dense_batch() -> Callable[..., dict[str, np.ndarray]]:
    """Draws a train batch for the dense model in which ``real`` of its 4 examples count."""

    def draw(*, real: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        return {
            "x": rng.normal(size=(4, 6)).astype(np.float32),
            "y": rng.integers(0, 3, 4).astype(np.int32),
            "weight": (np.arange(4) < real).astype(np.float32),
            "learning_rate": np.array(0.1, np.float32),
        }

    return draw

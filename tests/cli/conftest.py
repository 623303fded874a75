"""Data and a model that are small enough to train while one waits."""

import numpy as np
import pytest
from pocketfed.device_sim.data.dataset import Dataset
from pocketfed.device_sim.data.examples import Examples
from pocketfed.model_export import export
from pocketfed.protocol.artifact import Artifact, InputScale


def _examples(prototypes: np.ndarray, count: int, rng: np.random.Generator) -> Examples:
    labels = rng.integers(0, 10, count).astype(np.int32)
    noise = rng.integers(0, 80, (count, 28, 28))
    return Examples(np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8), labels)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Ten noisy patterns a linear model can tell apart."""
    rng = np.random.default_rng(5)
    prototypes = rng.integers(0, 2, (10, 28, 28)) * 150
    return Dataset(
        name="patterns",
        origin="generated",
        train=_examples(prototypes, 600, rng),
        test=_examples(prototypes, 200, rng),
    )


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A linear model of the patterns; do not change its folder."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)], name="linear"
    )
    return export(
        model,
        out=tmp_path_factory.mktemp("export") / "artifact",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        input_scale=InputScale(scale=1 / 255),
    )

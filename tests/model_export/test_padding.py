"""Batch normalization must not notice padding, and must not notice that it was told about it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from pocketfed.model_export import export
from pocketfed.model_export.training.padding import padding_left_out
from pocketfed.protocol.artifact import Artifact
from pocketfed.runtime import Runtime

layers = keras.layers
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def normalized() -> keras.Model:
    keras.utils.set_random_seed(5)
    parts = [layers.Dense(5), layers.BatchNormalization(), layers.ReLU(), layers.Dense(3)]
    return keras.Sequential([keras.Input((6,)), *parts], name="normalized")


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Exported, hence compared with Keras on padded batches too; do not change its folder."""
    out = tmp_path_factory.mktemp("artifacts") / "normalized"
    return export(normalized(), out=out, loss=LOSS, batch_size=4, evaluate_batch_size=4)


def batch(*, real: int, padding: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 6)).astype(np.float32), rng.integers(0, 3, 4).astype(np.int32)
    x[real:] = padding
    weight = (np.arange(4) < real).astype(np.float32)
    return {"x": x, "y": y, "weight": weight, "learning_rate": np.array(0.1, np.float32)}


def moving(artifact: Artifact, vector: np.ndarray) -> dict[str, np.ndarray]:
    """The moving statistics in a weight vector, by their last name."""
    return {
        entry.name.rsplit("/")[-1]: vector[entry.offset : entry.offset + entry.size]
        for entry in artifact.manifest.spec
        if not entry.trainable
    }


def test_moving_statistics_are_weights_that_do_not_train(artifact: Artifact) -> None:
    assert moving(artifact, artifact.checkpoint.vector).keys() == {"moving_mean", "moving_variance"}


def test_a_step_moves_the_statistics_as_keras_does_on_the_real_examples(artifact: Artifact) -> None:
    runtime, model, inputs = Runtime(artifact.model), normalized(), batch(real=3, padding=50.0)
    runtime.train(inputs)
    model(inputs["x"][:3], training=True)
    found = moving(artifact, runtime.weights)
    np.testing.assert_allclose(found["moving_mean"], model.layers[1].moving_mean, atol=1e-7)
    np.testing.assert_allclose(found["moving_variance"], model.layers[1].moving_variance, atol=1e-7)


def test_what_stands_in_the_padding_does_not_matter(artifact: Artifact) -> None:
    trained = []
    for padding in (0.0, 1e6):
        runtime = Runtime(artifact.model)
        runtime.train(batch(real=2, padding=padding))
        trained.append(runtime.weights)
    np.testing.assert_array_equal(trained[0], trained[1])
    assert not np.array_equal(trained[0], artifact.checkpoint.vector)


def test_a_batch_of_padding_only_leaves_the_statistics_alone(artifact: Artifact) -> None:
    runtime = Runtime(artifact.model)
    assert runtime.train(batch(real=0, padding=7.0)) == 0.0
    np.testing.assert_array_equal(runtime.weights, artifact.checkpoint.vector)


def test_a_mask_of_the_model_itself_still_counts() -> None:
    layer = layers.BatchNormalization(momentum=0.0)
    inputs = keras.Input((3, 2))
    model = keras.Model(inputs, layer(layers.Masking()(inputs)))
    x = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    x[0, 2] = 0.0
    with padding_left_out(model, tf.constant([1.0, 0.0])):
        model(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, x[0, :2].mean(axis=0), rtol=1e-5)


def test_padding_may_be_masked_out_as_a_whole(tmp_path: Path) -> None:
    """Whose average is 0/0; a model that averages words is exported, and takes rows of zeros."""
    keras.utils.set_random_seed(5)
    parts = [layers.Embedding(7, 4, mask_zero=True), layers.GlobalAveragePooling1D()]
    model = keras.Sequential([keras.Input((5,), dtype="int32"), *parts, layers.Dense(3)])
    runtime = Runtime(
        export(model, out=tmp_path / "a", loss=LOSS, batch_size=4, evaluate_batch_size=4).model
    )
    before, tokens = runtime.weights, np.zeros((4, 5), np.int32)
    inputs = {"x": tokens, "y": np.zeros(4, np.int32), "weight": np.zeros(4, np.float32)}
    assert runtime.train({**inputs, "learning_rate": np.float32(0.1)}) == 0.0
    np.testing.assert_array_equal(runtime.weights, before)
    tokens[1], inputs["weight"][1] = [1, 2, 0, 0, 0], 1.0
    loss_sum = runtime.call("evaluate", inputs)["loss_sum"]
    np.testing.assert_allclose(loss_sum, LOSS(np.zeros(1), model(tokens[1:2])), rtol=1e-5)


def test_nothing_stays_behind_not_even_after_a_failure() -> None:
    model = normalized()
    layer = model.layers[1]
    before = layer.call
    with pytest.raises(ValueError, match="incompatible"), padding_left_out(model, tf.ones(2)):
        model(tf.ones((2, 7)), training=True)
    assert "call" not in vars(layer)
    assert layer.call == before


def test_a_frozen_one_keeps_its_statistics(tmp_path: Path) -> None:
    model = normalized()
    model.layers[1].trainable = False
    artifact = export(
        model, out=tmp_path / "frozen", loss=LOSS, batch_size=4, evaluate_batch_size=4
    )
    runtime = Runtime(artifact.model)
    runtime.train(batch(real=4))
    assert moving(artifact, artifact.checkpoint.vector) == {}
    assert artifact.manifest.frozen_weights == 4 * 5
    assert not np.array_equal(runtime.weights, artifact.checkpoint.vector)

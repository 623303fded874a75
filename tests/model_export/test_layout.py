"""The layout: what a step changes travels, whichever way it is changed; the rest is frozen."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf
from pocketfed.model_export.reading.layout import Layout

layers = keras.layers


def layout_of(model: keras.Model) -> Layout:
    specs = [tf.TensorSpec((2, *model.inputs[0].shape[1:]))]
    return Layout.of(model, lambda x: model(x, training=True), specs)


def names(variables: tuple[keras.Variable, ...]) -> list[str]:
    return ["/".join(variable.path.split("/")[-2:]) for variable in variables]


class Averaged(layers.Layer):
    """Keeps a moving average of what it sees, in a float variable that does not train."""

    def build(self, shape):
        self.average = self.add_weight(shape=shape[1:], trainable=False, name="average")
        self.scale = self.add_weight(shape=shape[1:], trainable=False, name="scale")

    def call(self, inputs):
        self.average.assign(0.9 * self.average + 0.1 * keras.ops.mean(inputs, axis=0))
        return inputs - self.average + self.scale


class AveragedWithin(Averaged):
    """The same inside a function of its own, which a graph calls."""

    @tf.function(autograph=False)
    def call(self, inputs):
        self.average.value.assign_add(tf.reduce_mean(inputs, axis=0))
        return inputs - self.average.value + self.scale.value


@pytest.mark.parametrize("layer", [Averaged, AveragedWithin])
def test_a_layer_that_assigns_to_its_own_variable_has_it_travel(layer: type) -> None:
    model = keras.Sequential([keras.Input((3,)), layer(name="mean"), layers.Dense(2, name="top")])
    layout = layout_of(model)
    assert names(layout.travelling) == ["mean/average", "top/kernel", "top/bias"]
    assert names(layout.frozen) == ["mean/scale"]
    assert [entry.trainable for entry in layout.spec.entries] == [False, True, True]


def test_moving_statistics_travel_only_if_their_layer_trains() -> None:
    parts = [layers.BatchNormalization(name="norm"), layers.Dense(2, name="top")]
    model = keras.Sequential([keras.Input((3,)), *parts])
    assert names(layout_of(model).travelling)[2:4] == ["norm/moving_mean", "norm/moving_variance"]
    model.layers[0].trainable = False
    layout = layout_of(model)
    assert names(layout.travelling) == ["top/kernel", "top/bias"]
    assert layout.frozen_weights == 4 * 3


def test_the_backward_pass_needs_what_lies_above_the_first_layer_that_trains() -> None:
    parts = [
        layers.Dense(4, name="below", trainable=False),
        layers.Dense(4, name="first"),
        layers.BatchNormalization(name="norm", trainable=False, scale=False, center=False),
        layers.Dense(4, name="above", trainable=False),
    ]
    layout = layout_of(keras.Sequential([keras.Input((3,)), *parts]))
    assert names(layout.needed) == [
        "norm/moving_mean",
        "norm/moving_variance",
        "above/kernel",
        "above/bias",
    ]
    assert names(layout.frozen)[:2] == ["below/kernel", "below/bias"]

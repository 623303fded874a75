"""A model as plain data: enough to build the same layers again, or a refusal."""

import json

import keras
import numpy as np
import pytest
from pocketfed.model_export import zoo_model
from pocketfed.model_export.reading.layers import described, described_zoo
from pocketfed.protocol.errors import ExportError, UnsupportedLayer

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
layers = keras.layers


def rebuilt(plain, inputs):
    made = [getattr(layers, one["kind"])(**one["options"]) for one in plain["layers"]]
    return keras.Sequential([keras.Input(inputs.shape[1:], dtype=inputs.dtype), *made])


@pytest.mark.parametrize("name", ["mnist_2nn", "mnist_cnn", "char_lstm"])
def test_a_model_built_again_from_json_computes_the_same(name):
    model = zoo_model(name)
    x = np.zeros((2, *model.input_shape[1:]), model.inputs[0].dtype)
    x[0] += 1
    again = rebuilt(json.loads(json.dumps(described_zoo(name))), x)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(model(x), again(x))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (layers.Dense(3, kernel_regularizer="l2"), "sets kernel_regularizer"),
        (layers.Dense(3, trainable=False), "sets trainable"),
        (layers.Dropout(0.5), "of the kind Dropout"),
    ],
)
def test_a_layer_with_more_to_it_is_refused(layer, said):
    with pytest.raises(UnsupportedLayer, match=said):
        described(keras.Sequential([keras.Input((4,)), layer]), LOSS)


def test_a_model_that_is_no_sequence_is_refused():
    inputs = keras.Input((4,))
    with pytest.raises(UnsupportedLayer, match=r"no keras\.Sequential"):
        described(keras.Model(inputs, layers.Dense(3)(inputs)), LOSS)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.MeanSquaredError(),
        keras.losses.SparseCategoricalCrossentropy(ignore_class=0),
    ],
)
def test_another_loss_is_refused(loss):
    with pytest.raises(ExportError, match="got the loss"):
        described(keras.Sequential([keras.Input((4,)), layers.Dense(3)]), loss)

"""A model with all that is hard for a runtime, and plain programs of a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf
from pocketfed.model_export.compact import compacted
from pocketfed.model_export.converting.convert import convert
from pocketfed.model_export.converting.converter import converted
from pocketfed.model_export.training.objective import objective_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Trainee, trace
from pocketfed.runtime import CompiledRuntime, Model, Runtime, quietly

layers = keras.layers
STEPS, WORDS = 20, 30


def _model() -> keras.Model:
    """Integers and floats go in, two outputs come out, with a loop, dropout and memory between."""
    keras.utils.set_random_seed(1)
    tokens = keras.Input((STEPS,), dtype="int32", name="tokens")
    scalars = keras.Input((3,), name="scalars")
    read = layers.SimpleRNN(4)(layers.Embedding(WORDS, 3)(tokens))
    both = layers.Dropout(0.4)(layers.Concatenate()([read, scalars]))
    return keras.Model(
        [tokens, scalars],
        [layers.Dense(3, name="kind")(both), layers.Dense(1, name="size")(both)],
        name="hard",
    )


@pytest.fixture(scope="session")
def hard_model() -> keras.Model:
    return _model()


@pytest.fixture(scope="session")
def hard(hard_model: keras.Model) -> bytes:
    """The hard model as a .tflite."""
    losses = ("sparse_categorical_crossentropy", "mean_squared_error")
    objective = objective_of(hard_model, losses, None)
    return convert(trace(Trainee(hard_model, objective, optimizer_of("momentum"), 4, 5)))


@pytest.fixture(params=[Runtime, CompiledRuntime], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[Model]:
    """Each of LiteRT's runtimes in turn."""
    found: type[Model] = request.param
    return found


@pytest.fixture
def compiled() -> Callable[..., bytes]:
    """Makes a model of one signature, ``run``, out of a function of tensors."""

    def compile_(function: Callable[..., Any], *inputs: tf.TensorSpec) -> bytes:
        run = tf.function(function, input_signature=inputs, autograph=False)
        with quietly():
            return compacted(converted(tf.Module(), {"run": run.get_concrete_function()}))

    return compile_

"""Golden inputs: drawn again where rounding alone would decide the outcome."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from pocketfed.model_export import reference
from pocketfed.model_export.losses import loss_of
from pocketfed.model_export.optimizers import optimizer_of
from pocketfed.model_export.signatures import Trainee

layers = keras.layers


def trainee_of(model: keras.Model) -> Trainee:
    return Trainee(model, loss_of("mean_squared_error"), optimizer_of("sgd"), 4, 5)


def undecided() -> keras.Model:
    """Every unit is exactly zero before its ReLU: the last bit decides whether it trains."""
    hidden = layers.Dense(5, activation="relu", kernel_initializer="zeros", name="hidden")
    return keras.Sequential([keras.Input((6,)), hidden, layers.Dense(3, name="out")], name="torn")


def test_an_ordinary_model_is_steady(dense_model: keras.Model) -> None:
    trainee = trainee_of(dense_model)
    golden = reference.golden_of(trainee, seed=0)
    assert reference.is_steady(trainee, golden)


def test_inputs_that_hang_on_the_last_bit_are_not_steady() -> None:
    trainee = trainee_of(undecided())
    assert not reference.is_steady(trainee, reference.golden_of(trainee, seed=0))


def test_unsteady_inputs_are_drawn_again(
    dense_model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainee = trainee_of(dense_model)
    ordinary = reference.golden_of(trainee, seed=0)
    verdicts = iter([False, False, True])
    monkeypatch.setattr(reference, "is_steady", lambda *_: next(verdicts))
    third = reference.golden_of(trainee, seed=0)
    assert not np.array_equal(third.x["x"], ordinary.x["x"])
    assert next(verdicts, None) is None


def test_the_model_is_left_as_it_was(dense_model: keras.Model) -> None:
    trainee = trainee_of(dense_model)
    before = trainee.layout.vector
    reference.golden_of(trainee, seed=0)
    np.testing.assert_array_equal(trainee.layout.vector, before)

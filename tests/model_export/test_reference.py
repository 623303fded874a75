"""Golden inputs: drawn again where rounding alone would decide the outcome."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from pocketfed.model_export.proving import drawing
from pocketfed.model_export.proving.golden import Golden
from pocketfed.model_export.proving.reference import Reference
from pocketfed.model_export.training.losses import loss_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Trainee

layers = keras.layers


def trainee_of(model: keras.Model) -> Trainee:
    return Trainee(model, loss_of("mean_squared_error"), optimizer_of("sgd"), 4, 5)


def undecided() -> keras.Model:
    """Every unit is exactly zero before its ReLU: the last bit decides whether it trains."""
    hidden = layers.Dense(5, activation="relu", kernel_initializer="zeros", name="hidden")
    return keras.Sequential([keras.Input((6,)), hidden, layers.Dense(3, name="out")], name="torn")


def draw(trainee: Trainee, *, number: int = 0) -> tuple[Reference, drawing.Drawn]:
    reference = Reference(trainee)
    return reference, drawing.draw(trainee, reference, seed=0, number=number)


def test_an_ordinary_model_is_steady(dense_model: keras.Model) -> None:
    trainee = trainee_of(dense_model)
    assert drawing.is_steady(trainee, *draw(trainee))


def test_inputs_that_hang_on_the_last_bit_are_not_steady() -> None:
    trainee = trainee_of(undecided())
    assert not drawing.is_steady(trainee, *draw(trainee))


def test_a_steady_model_has_no_slack(dense_model: keras.Model) -> None:
    assert drawing.golden_of(trainee_of(dense_model), seed=0).slack == {}


def test_a_model_that_rounding_decides_altogether_gets_no_slack() -> None:
    assert drawing.golden_of(trainee_of(undecided()), seed=0).slack == {}


def test_unsteady_inputs_are_drawn_again_and_get_slack_at_last(
    dense_model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainee, steps = trainee_of(dense_model), []
    monkeypatch.setattr(
        drawing, "is_steady", lambda _, __, drawn: steps.append(drawn.steps[0]) or False
    )
    golden = drawing.golden_of(trainee, seed=0)
    assert len({step.batch.x["x"].tobytes() for step in steps}) == len(steps) == drawing.DRAWS - 1
    rates = [step.learning_rate for step in steps]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 1000 * rates[-1]
    assert rates[-1] == pytest.approx(golden.learning_rate[0])
    assert golden.slack["weights_after_10"].shape == (len(trainee.layout.spec.entries),)
    assert (golden.slack["weights_after_10"] > 0).all()
    assert (golden.slack["weights_after_10"] < 1e-4).all()
    assert set(golden.slack) >= {"weights_after_1", "loss", "loss_sum", "outputs"}


def test_a_second_run_begins_where_the_first_did(dense_model: keras.Model) -> None:
    trainee = Trainee(dense_model, loss_of("mse"), optimizer_of("adam"), 4, 5, proximal=0.1)
    reference, drawn = draw(trainee)
    losses, weights = reference.trained(drawn.steps)
    np.testing.assert_array_equal(losses, drawn.losses)
    np.testing.assert_array_equal(weights[-1], drawn.weights[-1])


def test_slack_is_written_and_read(dense_model: keras.Model) -> None:
    golden = drawing.golden_of(trainee_of(dense_model), seed=0)
    slack = {"loss": np.array([0.5], np.float32), "weights_after_1": np.arange(4, dtype=np.float32)}
    read = Golden.from_bytes(replace(golden, slack=slack).to_bytes())
    assert read.slack.keys() == slack.keys()
    spec = trainee_of(dense_model).layout.spec.entries
    by_element = read.slack_of("weights_after_1", spec)
    assert by_element.tolist() == [0.0] * 30 + [1.0] * 5 + [2.0] * 15 + [3.0] * 3
    assert not read.slack_of("weights_after_10", spec).any()


def test_the_model_is_left_as_it_was(dense_model: keras.Model) -> None:
    trainee = trainee_of(dense_model)
    before = trainee.layout.vector
    drawing.golden_of(trainee, seed=0)
    np.testing.assert_array_equal(trainee.layout.vector, before)

"""Server optimizers take the steps of the paper's formulae, computed here by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.protocol import folding
from pocketfed.protocol.errors import SpecMismatch
from pocketfed.server.folding.optimizers import decode_state, encode_state, optimizer_of

KINDS = [
    folding.Sgd(),
    folding.Sgd(learning_rate=0.5, momentum=0.9),
    folding.Sgd(learning_rate=0.5, momentum=0.9, nesterov=True),
    folding.Adagrad(),
    folding.Adagrad(beta_1=0.5),
    folding.Adam(),
    folding.Yogi(),
]
UPDATES = (1.0, -0.5, 0.25, 4.0)


def each_kind(kinds=KINDS):
    return pytest.mark.parametrize("kind", kinds, ids=[str(one.to_json()) for one in kinds])


def trajectory(kind, updates, *, start=2.0):
    """The weight and the state after each update of a model of one weight."""
    optimizer = optimizer_of(kind)
    vector, state = np.array([start], np.float32), optimizer.init(1)
    for update in updates:
        vector, state = optimizer.step(vector, np.array([update]), state)
        yield float(vector[0]), [float(slot[0]) for slot in state]


def by_the_paper(kind, updates, *, start=2.0):
    """Algorithm 2 of arXiv 2003.00295 in plain floats; v begins at tau squared."""
    x, m, v = start, 0.0, kind.tau**2
    for delta in updates:
        m = kind.beta_1 * m + (1 - kind.beta_1) * delta
        if isinstance(kind, folding.Adagrad):
            v = v + delta**2
        elif isinstance(kind, folding.Adam):
            v = kind.beta_2 * v + (1 - kind.beta_2) * delta**2
        else:
            v = v - (1 - kind.beta_2) * delta**2 * math.copysign(1, v - delta**2)
        x = x + kind.learning_rate * m / (math.sqrt(v) + kind.tau)
        yield x, [m, v]


def by_momentum(kind, updates, *, start=2.0):
    x, u = start, 0.0
    for delta in updates:
        u = kind.momentum * u + delta
        x += kind.learning_rate * (delta + kind.momentum * u if kind.nesterov else u)
        yield x, [u]


@each_kind([one for one in KINDS if not isinstance(one, folding.Sgd)])
def test_four_steps_are_those_of_the_paper(kind) -> None:
    for found, expected in zip(trajectory(kind, UPDATES), by_the_paper(kind, UPDATES), strict=True):
        assert found[0] == pytest.approx(expected[0], rel=1e-6)
        assert found[1] == pytest.approx(expected[1], rel=1e-6)


@each_kind(KINDS[1:3])
def test_four_steps_of_momentum(kind) -> None:
    for found, expected in zip(trajectory(kind, UPDATES), by_momentum(kind, UPDATES), strict=True):
        assert found[0] == pytest.approx(expected[0], rel=1e-6)
        assert found[1] == pytest.approx(expected[1], rel=1e-6)


def test_the_first_step_of_adam_worked_out() -> None:
    """m = 0.1, v = 0.99e-6 + 0.01; no bias is corrected, and tau stands outside the root."""
    ((weight, (m, v)),) = trajectory(folding.Adam(learning_rate=1.0), [1.0], start=0.0)
    assert m == pytest.approx(0.1, rel=1e-6)
    assert v == pytest.approx(0.01000099, rel=1e-6)
    assert weight == pytest.approx(0.1 / (math.sqrt(0.01000099) + 0.001), rel=1e-6)


def test_yogi_gives_way_slowly_where_adam_forgets() -> None:
    updates = (1.0, *[1e-3] * 20)
    *_, (_, (_, of_yogi)) = trajectory(folding.Yogi(), updates)
    *_, (_, (_, of_adam)) = trajectory(folding.Adam(), updates)
    assert of_yogi == pytest.approx(0.01, rel=1e-2)
    assert of_adam == pytest.approx(0.01 * 0.99**20, rel=1e-2)


def test_sgd_adds_the_update_times_its_learning_rate_and_keeps_nothing() -> None:
    optimizer = optimizer_of(folding.Sgd(learning_rate=0.5))
    state = optimizer.init(2)
    after, kept = optimizer.step(np.array([1.0, 2.0], np.float32), np.array([1.0, -4.0]), state)
    assert after.tolist() == [1.5, 0.0]
    assert after.dtype == np.float32
    assert state == kept == ()


@each_kind()
def test_no_update_leaves_the_weights_of_a_fresh_model_alone(kind) -> None:
    ((weight, _),) = trajectory(kind, [0.0])
    assert weight == 2.0


@each_kind()
@settings(max_examples=25)
@given(updates=st.lists(st.floats(-8.0, 8.0), min_size=1, max_size=8))
def test_weights_and_state_stay_finite_and_the_second_moment_above_zero(kind, updates) -> None:
    for weight, state in trajectory(kind, updates):
        assert math.isfinite(weight)
        assert all(map(math.isfinite, state))
        if len(state) == 2:
            assert state[1] >= 0.0


@each_kind()
def test_a_step_changes_neither_the_checkpoint_nor_the_state_it_is_given(kind) -> None:
    optimizer = optimizer_of(kind)
    checkpoint, update, state = np.ones(3, np.float32), np.ones(3), optimizer.init(3)
    before = [one.tobytes() for one in (checkpoint, update, *state)]
    optimizer.step(checkpoint, update, state)
    assert [one.tobytes() for one in (checkpoint, update, *state)] == before


@each_kind()
def test_each_element_steps_for_itself(kind) -> None:
    """Whatever vector instructions a processor has, they change no bit."""
    rng = np.random.default_rng(9)
    optimizer = optimizer_of(kind)
    checkpoint, updates = rng.normal(size=37).astype(np.float32), rng.normal(size=(3, 37))

    def run(some):
        vector, state = checkpoint[some], optimizer.init(checkpoint[some].size)
        for update in updates:
            vector, state = optimizer.step(vector, update[some], state)
        return vector

    alone = np.concatenate([run(slice(index, index + 1)) for index in range(37)])
    assert run(slice(None)).tobytes() == alone.tobytes()


@each_kind(KINDS[1:])
def test_a_state_survives_its_container(kind) -> None:
    optimizer = optimizer_of(kind)
    _, state = optimizer.step(np.zeros(5, np.float32), np.arange(5.0), optimizer.init(5))
    body = encode_state(state, optimizer)
    again = decode_state(body, optimizer, size=5)
    assert [one.tobytes() for one in again] == [one.tobytes() for one in state]
    assert encode_state(again, optimizer) == body


def test_the_state_of_another_optimizer_is_refused() -> None:
    adam, yogi = optimizer_of(folding.Adam()), optimizer_of(folding.Yogi())
    with pytest.raises(SpecMismatch):
        decode_state(encode_state(adam.init(5), adam), yogi, size=5)

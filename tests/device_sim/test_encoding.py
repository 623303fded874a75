"""What phones send and owe: nothing is lost with top-k, and nothing is remembered elsewhere."""

import numpy as np
import pytest
from pocketfed.device_sim.conditions import rounding_stream
from pocketfed.device_sim.phones.encoding import Debts, encode
from pocketfed.protocol.codecs import codec_named
from pocketfed.protocol.weights import Weights, WeightSpec

SPEC = WeightSpec.of({"a": (20,)})
DELTA = Weights(SPEC, np.arange(20, dtype=np.float32))


def sent(delta=DELTA, *, codec="topk:0.1", owed=None, device=0, round_=1):
    """The body, what arrives of it, and what it lacks."""
    rng = rounding_stream(seed=0, device=device, round_=round_)
    body, left_out = encode(delta, codec=codec_named(codec), owed=owed, rng=rng)
    return body, codec_named(codec).decode(body, SPEC), left_out


def test_what_was_left_out_arrives_with_the_next_delta():
    _, first, left_out = sent()
    _, second, _ = sent(SPEC.zeros(), codec="topk:0.999999", owed=left_out)
    np.testing.assert_array_equal(first + second, DELTA.vector)


def test_other_codecs_send_the_delta_as_it_is():
    _, first, left_out = sent(codec="float32", owed=np.ones(20, np.float32))
    np.testing.assert_array_equal(first, DELTA.vector)
    assert left_out is None


def test_rounds_and_devices_round_differently():
    delta = Weights(SPEC, np.linspace(-1.0, 1.0, 20, dtype=np.float32))
    bodies = {
        sent(delta, codec="int4", device=device, round_=round_)[0]
        for device in (0, 1)
        for round_ in (1, 2)
    }
    assert len(bodies) == 4


@pytest.fixture
def debts():
    return Debts()


def test_a_phone_owes_what_was_left_out_of_its_last_accepted_delta(debts):
    for value in (1.0, 2.0):
        debts.accepted(np.full(3, value, np.float32), device=7, task="task")
    np.testing.assert_array_equal(debts.owed(device=7, task="task"), [2.0, 2.0, 2.0])


def test_another_phone_and_another_task_owe_nothing(debts):
    debts.accepted(np.ones(3, np.float32), device=7, task="task")
    assert debts.owed(device=8, task="task") is None
    assert debts.owed(device=7, task="other") is None


def test_debts_leave_nothing_behind(debts, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    debts = Debts()
    debts.accepted(np.ones(3, np.float32), device=7, task="task")
    assert list(tmp_path.iterdir())
    del debts
    assert not list(tmp_path.iterdir())

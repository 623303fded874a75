"""A phone's encoder: nothing is lost with top-k, and nothing is remembered elsewhere."""

import msgspec
import numpy as np
import pytest
from pocketfed.device_sim.encoding import Encoder
from pocketfed.protocol.codecs import codec_named
from pocketfed.protocol.messages import Assignment, Resource
from pocketfed.protocol.plan import Plan, RetryWindow
from pocketfed.protocol.weights import Weights, WeightSpec

SPEC = WeightSpec.of({"a": (20,)})
BYTES = Resource(url="/v1/blobs/x", sha256="0" * 64, bytes=1)
FIRST = Assignment(
    assignment_id="first",
    task="task",
    round=1,
    attempt=1,
    checkpoint=BYTES,
    model=BYTES,
    manifest=BYTES,
    plan=Plan(),
    codec="topk:0.1",
    compute_within_s=1.0,
    upload_within_s=1.0,
    retry=RetryWindow(min_s=1.0, max_s=2.0),
)
DELTA = Weights(SPEC, np.arange(20, dtype=np.float32))


def later(**changes):
    return msgspec.structs.replace(FIRST, assignment_id="later", round=2, **changes)


def sent(encoder, assignment, delta=DELTA):
    return codec_named(assignment.codec).decode(encoder.encode(assignment, delta), SPEC)


@pytest.fixture
def encoder():
    return Encoder(seed=0, device=0)


def test_what_was_left_out_is_added_to_the_next_delta(encoder):
    first = sent(encoder, FIRST)
    encoder.accepted(FIRST)
    second = sent(encoder, later(codec="topk:0.999999"), SPEC.zeros())
    np.testing.assert_array_equal(first + second, DELTA.vector)


def test_what_was_not_accepted_changes_nothing(encoder):
    first = sent(encoder, FIRST)
    np.testing.assert_array_equal(sent(encoder, later()), first)


def test_another_task_owes_nothing(encoder):
    first = sent(encoder, FIRST)
    encoder.accepted(FIRST)
    np.testing.assert_array_equal(sent(encoder, later(task="other")), first)


def test_other_codecs_send_the_delta_as_it_is(encoder):
    sent(encoder, FIRST)
    encoder.accepted(FIRST)
    np.testing.assert_array_equal(sent(encoder, later(codec="float32")), DELTA.vector)


def test_rounds_and_devices_round_differently():
    vector = np.linspace(-1.0, 1.0, 20, dtype=np.float32)
    bodies = {
        Encoder(seed=0, device=device).encode(assignment, Weights(SPEC, vector))
        for device in (0, 1)
        for assignment in (
            msgspec.structs.replace(FIRST, codec="int4", round=number) for number in (1, 2)
        )
    }
    assert len(bodies) == 4

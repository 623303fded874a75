"""A server that is killed again and again ends at the very checkpoint of one that is not."""

import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server.coordination.sweeper import ORPHAN_TTL_S

SPEC = WeightSpec.of({"kernel": (50, 40)})
ROUNDS = 3
EXAMPLES = (10, 3, 77)


def work():
    """The start, and the deltas of every round in order."""
    rng = np.random.default_rng(11)
    start = Weights(SPEC, rng.normal(0.0, 1.0, SPEC.size).astype(np.float32))
    deltas = [
        [Weights(SPEC, rng.normal(0.0, 0.1, SPEC.size).astype(np.float32)) for _ in EXAMPLES]
        for _ in range(ROUNDS)
    ]
    return start, deltas


def undisturbed(server):
    start, deltas = work()
    server.create_task(checkpoint=start, goal=3, over_selection=1.0, rounds=ROUNDS)
    for round_ in deltas:
        for delta, n_k in zip(round_, EXAMPLES, strict=True):
            server.phone().serve(delta, num_examples=n_k)
    return server.admin.history("task").task.checkpoint.sha256


@pytest.mark.slow
def test_killed_mid_round_it_ends_at_the_checkpoint_of_an_undisturbed_run(live, server) -> None:
    start, deltas = work()
    live.create_task(start, goal=3, over_selection=1.0, rounds=ROUNDS)
    acknowledged = kill_between_uploads(live, deltas[0])
    assert {row["sha256"] for row in live.rows("updates")} == acknowledged
    kill_during_an_upload(live, deltas[1])
    kill_at_the_goal(live, deltas[2])
    checkpoint = live.wait_for_version(ROUNDS)
    assert checkpoint.sha256 == undisturbed(server)
    body = live.admin.download(checkpoint)
    assert wire.sha256(body) == checkpoint.sha256
    assert live.admin.history("task").task.status == "finished"
    assert [round_.attempt for round_ in live.admin.history("task").rounds] == [1, 1, 1]
    offered = {row["sha256"] for row in live.rows("checkpoints") + live.rows("deposits")}
    live.kill()
    live.age_blobs(2 * ORPHAN_TTL_S)
    live.start()
    assert live.blobs() == offered


def kill_between_uploads(live, deltas):
    """Two updates are acknowledged, a third device has reported; it goes on after the restart."""
    receipts = [
        live.phone().serve(delta, num_examples=n_k)
        for delta, n_k in zip(deltas[:2], EXAMPLES[:2], strict=True)
    ]
    third = live.phone()
    third.check_in()
    third.announce(wire.encode(deltas[2]), num_examples=EXAMPLES[2])
    live.kill()
    live.start()
    again = live.phone(third.client.device)
    again.check_in()
    assert again.place.assignment_id == third.place.assignment_id
    receipts.append(again.deliver(deltas[2], num_examples=EXAMPLES[2]))
    live.wait_for_version(1)
    return {receipt.sha256 for receipt in receipts}


def kill_during_an_upload(live, deltas):
    """Half a body has been sent when the server dies; the phone sends it again."""
    first = live.phone()
    first.check_in()
    body = wire.encode(deltas[0])
    instruction = first.announce(body, num_examples=EXAMPLES[0])
    updates = live.rows("updates")
    with live.half_upload(first, body):
        live.kill()
    live.start()
    assert live.rows("updates") == updates
    again = live.phone(first.client.device)
    assert again.client.upload(instruction, body).sha256 == wire.sha256(body)
    for delta, n_k in zip(deltas[1:], EXAMPLES[1:], strict=True):
        live.phone().serve(delta, num_examples=n_k)
    live.wait_for_version(2)


def kill_at_the_goal(live, deltas):
    """The last update has just been acknowledged: the sum may be anywhere."""
    for delta, n_k in zip(deltas, EXAMPLES, strict=True):
        live.phone().serve(delta, num_examples=n_k)
    live.kill()
    live.start()

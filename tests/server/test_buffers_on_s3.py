"""Stale updates that devices put into an object store by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from pocketfed.protocol.errors import RoundClosed, Unavailable
from pocketfed.protocol.plan import Buffering


@pytest.fixture
def server(rehearse, bucket):
    return rehearse(blobs=bucket.location)


def holder(server):
    phone = server.phone()
    phone.check_in()
    return phone


def test_a_stale_update_in_the_bucket_counts_less(server) -> None:
    server.create_task(goal=1, buffer=Buffering(concurrency=2, max_staleness=3))
    slow = holder(server)
    for _ in range(3):
        server.phone().serve(server.delta(0.0))
    slow.deliver(server.delta(0.5))
    assert np.array_equal(server.weights(), np.full(16, 1.25, np.float32))


def test_an_update_in_the_bucket_that_is_too_stale_is_refused(server) -> None:
    server.create_task(goal=1, buffer=Buffering(concurrency=2, max_staleness=0))
    slow = holder(server)
    body = server.body(0.5)
    instruction = slow.announce(body)
    server.phone().serve(server.delta(0.0))
    with pytest.raises(RoundClosed, match="too far behind"):
        slow.client.upload(instruction, body)


def test_a_commit_while_a_buffer_is_folded_comes_again(rehearse, bucket) -> None:
    server = rehearse(blobs=bucket.location, coordinator="thread")  # which nobody starts here
    server.create_task(goal=1, buffer=Buffering(concurrency=2))
    slow, fast = holder(server), holder(server)
    body = server.body(0.5)
    instruction = slow.announce(body)
    fast.deliver(server.delta(0.0))
    with pytest.raises(Unavailable, match="same update again"):
        slow.client.upload(instruction, body)
    server.changes["coordinator"] = "inline"
    server.restart()
    server.admin.history("task")
    slow.client = type(slow.client)(server.session(), device=slow.client.device)
    slow.client.upload(instruction, body)
    assert server.admin.history("task").task.checkpoint.version == 2

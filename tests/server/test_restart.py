"""A server that stops anywhere goes on from its tables and leaves nothing behind."""

import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.errors import PocketFedError
from pocketfed.protocol.folding import Sgd
from pocketfed.server.blobs import FolderBlobs
from pocketfed.server.coordination.sweeper import ORPHAN_TTL_S
from pocketfed.server.store import Writing


class Killed(BaseException):
    """The process ends here."""


def die(*arguments, **named):
    raise Killed


def reconnect(server, phone):
    """The same phone, on a server that was started again."""
    again = type(phone)(type(phone.client)(server.session(), device=phone.client.device))
    again.assignment = phone.assignment
    return again


def test_a_round_goes_on_after_a_restart(server) -> None:
    server.create_task()
    waiting = server.phone()
    waiting.check_in()
    server.phone().serve(server.delta(0.5), num_examples=10)
    server.restart()
    reconnect(server, waiting).deliver(server.delta(1.0), num_examples=30)
    assert np.array_equal(server.weights(), np.full(16, 1.875, np.float32))


def test_deadlines_are_instants_that_a_restart_does_not_move(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    server.clock.wait(50.0)
    server.restart()
    assert reconnect(server, phone).check_in().compute_within_s == 10.0


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (FolderBlobs, "publish"),
        (Writing, "accept_update"),
        (Writing, "claim_round"),
        (Writing, "add_checkpoint"),
        (Writing, "add_contributions"),
        (Writing, "add_round"),
        (Writing, "release_updates"),
        (FolderBlobs, "remove"),
    ],
)
def test_a_death_at_any_step_of_a_round_changes_no_bit(server, monkeypatch, where, what) -> None:
    server.create_task(server_optimizer=Sgd(momentum=0.5))
    server.phone().serve(server.delta(0.5), num_examples=10)
    last = server.phone()
    last.check_in()
    body = wire.encode(server.delta(1.0))
    instruction = last.announce(body, num_examples=30)
    with monkeypatch.context() as patched:
        patched.setattr(where, what, die)
        with pytest.raises(Killed):
            last.client.upload(instruction, body)
    server.restart()
    reconnect(server, last).client.upload(instruction, body)
    history = server.admin.history("task")
    assert [one.version for one in history.checkpoints] == [0, 1]
    assert np.array_equal(server.weights(), np.full(16, 1.875, np.float32))
    offered = {row["sha256"] for row in server.rows("checkpoints") + server.rows("deposits")}
    states = {row["state_sha256"] for row in server.rows("checkpoints")} - {None}
    assert len(states) == 1
    assert server.blobs() == offered | states


def test_what_a_killed_process_left_is_swept(server) -> None:
    server.create_task()
    kept = server.phone().serve(server.delta(0.5)).sha256
    server.leave("incoming-1", b"half a body", age_s=ORPHAN_TTL_S)
    server.leave("0" * 64, b"an update without a row", age_s=ORPHAN_TTL_S)
    before = server.blobs() - {"incoming-1", "0" * 64}
    server.restart()
    assert server.blobs() == before
    assert kept in before


def test_an_operators_bytes_are_kept_for_a_day_before_they_are_used(server) -> None:
    sha256 = server.admin._put_blob(b"part of a task to be created")
    server.clock.wait(ORPHAN_TTL_S)
    server.restart()
    assert sha256 in server.blobs()
    server.clock.wait(1.0)
    server.age(sha256, ORPHAN_TTL_S)
    server.restart()
    assert sha256 not in server.blobs()
    assert server.rows("deposits") == []


def test_a_task_keeps_its_bytes_for_ever(server) -> None:
    summary = server.create_task()
    server.clock.wait(10 * ORPHAN_TTL_S)
    before = server.blobs()
    for name in before:
        server.age(name, 10 * ORPHAN_TTL_S)
    server.restart()
    assert server.blobs() == before
    assert len(server.admin.download(summary.checkpoint)) == summary.checkpoint.bytes


def test_a_failed_tick_is_made_up_for_by_the_next(server, monkeypatch) -> None:
    server.create_task(goal=1)
    phone = server.phone()
    phone.check_in()
    with monkeypatch.context() as patched:
        patched.setattr(FolderBlobs, "reader", die)
        with pytest.raises((Killed, PocketFedError)):
            phone.deliver(server.delta(0.5))
    server.server.coordinator.tick(server.clock())
    assert np.array_equal(server.weights(), np.full(16, 1.5, np.float32))

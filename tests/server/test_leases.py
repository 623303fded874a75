"""Several coordinators on one database: a round is folded by one, and taken over from the dead."""

import signal
import time

import numpy as np
import pytest
from pocketfed.protocol.errors import Unavailable
from pocketfed.server.coordination.coordinator import Coordinator

LEASE_S = 15.0
HANGING = """
import sys, time
from pocketfed import cli
from pocketfed.server.coordination.coordinator import Coordinator

def hang(*arguments):
    print("folding", flush=True)
    time.sleep(600)

Coordinator._outcome = hang
sys.exit(cli.main(["pocketfed", *sys.argv[1:]]))
"""


class Killed(BaseException):
    """The process ends here."""


def die(*arguments):
    raise Killed


def coordinator_of(server, owner, *, lease_s=LEASE_S):
    """Another process's coordinator."""
    mine = server.server.coordinator
    return Coordinator(
        mine._store,
        mine._blobs,
        sweeper=mine._sweeper,
        workers=mine._workers,
        clock=server.clock,
        is_inline=False,
        owner=owner,
        lease_s=lease_s,
    )


@pytest.fixture
def waiting(rehearse):
    """A server without a coordinator, with a round that waits for its sum."""
    server = rehearse(coordinator="thread")
    server.create_task(rounds=1)
    for examples, value in ((10, 0.5), (30, 1.0)):
        server.phone().serve(server.delta(value), num_examples=examples)
    return server


both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@both
def test_a_round_that_another_folds_is_left_alone_until_its_lease_ends(
    waiting, monkeypatch
) -> None:
    dead, alive = coordinator_of(waiting, "dead"), coordinator_of(waiting, "alive")
    monkeypatch.setattr(dead, "_outcome", die)
    with pytest.raises(Killed):
        dead.tick(waiting.clock())
    waiting.clock.wait(LEASE_S - 1.0)
    alive.tick(waiting.clock())
    assert waiting.rows("rounds")[0]["epoch"] == 1
    waiting.clock.wait(1.0)
    alive.tick(waiting.clock())
    assert waiting.rows("rounds")[0]["epoch"] == 2
    assert np.array_equal(waiting.weights(), np.full(16, 1.875, np.float32))
    assert waiting.rows("leases") == []


@both
def test_who_folds_for_long_keeps_the_round(waiting, monkeypatch) -> None:
    slow = coordinator_of(waiting, "slow", lease_s=0.3)
    rival = coordinator_of(waiting, "rival", lease_s=0.3)
    fold = slow._outcome

    def fold_slowly(*arguments):
        for _ in range(4):
            ends_at = waiting.rows("leases")[0]["ends_at"]
            waiting.clock.wait(0.2)
            await_renewal(waiting, ends_at)
            rival.tick(waiting.clock())
        return fold(*arguments)

    monkeypatch.setattr(slow, "_outcome", fold_slowly)
    slow.tick(waiting.clock())
    assert waiting.rows("rounds")[0]["epoch"] == 1
    assert [row["version"] for row in waiting.rows("checkpoints")] == [0, 1]


def await_renewal(server, ends_at):
    give_up_at = time.monotonic() + 10.0
    while server.rows("leases")[0]["ends_at"] <= ends_at:
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


@both
def test_who_comes_back_after_its_lease_ended_does_not_commit(waiting, monkeypatch) -> None:
    late, quick = coordinator_of(waiting, "late"), coordinator_of(waiting, "quick")
    fold = late._outcome

    def stop_for_a_while(*arguments):
        waiting.clock.wait(LEASE_S)
        quick.tick(waiting.clock())
        return fold(*arguments)

    monkeypatch.setattr(late, "_outcome", stop_for_a_while)
    late.tick(waiting.clock())
    assert [row["version"] for row in waiting.rows("checkpoints")] == [0, 1]
    assert len(waiting.rows("contributions")) == 2
    states = [row["state"] for row in waiting.rows("history") if row["entity"] == "round"]
    assert states.count("committed") == 1


@both
def test_a_coordinator_takes_up_at_once_what_it_held(waiting, monkeypatch) -> None:
    mine = coordinator_of(waiting, "mine")
    with monkeypatch.context() as patched:
        patched.setattr(mine, "_outcome", die)
        with pytest.raises(Killed):
            mine.tick(waiting.clock())
    mine.tick(waiting.clock())
    assert waiting.rows("checkpoints")[-1]["version"] == 1


def test_a_renewal_that_the_database_refuses_is_tried_again(waiting, monkeypatch) -> None:
    slow = coordinator_of(waiting, "slow", lease_s=0.3)
    fold, store = slow._outcome, slow._store
    write = store.write
    refused = []

    def refuse():
        refused.append(True)
        raise Unavailable("down")

    def fold_slowly(*arguments):
        ends_at = waiting.rows("leases")[0]["ends_at"]
        waiting.clock.wait(0.1)
        with monkeypatch.context() as patched:
            patched.setattr(store, "write", refuse)
            while not refused:
                time.sleep(0.02)
        assert store.write == write
        await_renewal(waiting, ends_at)
        return fold(*arguments)

    monkeypatch.setattr(slow, "_outcome", fold_slowly)
    slow.tick(waiting.clock())
    assert waiting.rows("checkpoints")[-1]["version"] == 1


@pytest.mark.slow
def test_a_coordinator_killed_while_it_folds_is_replaced_bit_for_bit(
    tmp_path, postgresql, rehearsal_in, coordinate
) -> None:
    server = rehearsal_on(tmp_path, postgresql, rehearsal_in)
    killed = coordinate(server.data, postgresql, program=HANGING, flags=["--lease_s=2"])
    rng = np.random.default_rng(5)
    deltas = rng.normal(0.0, 0.1, (2, server.spec.size)).astype(np.float32)
    vectors = [type(server.delta(0.0))(server.spec, delta) for delta in deltas]
    server.create_task()
    for vector in vectors:
        server.phone().serve(vector)
    lines = [killed.process.stdout.readline() for _ in range(2)]
    assert lines == ["pocketfed coordinator\n", "folding\n"]
    rivals = [coordinate(server.data, postgresql, flags=["--lease_s=2"]) for _ in range(2)]
    for rival in rivals:
        rival.process.stdout.readline()
    killed.end(signal.SIGKILL)
    committed = await_version(server, 1)
    assert server.rows("rounds")[0]["epoch"] == 2
    assert committed == undisturbed(tmp_path, rehearsal_in, vectors)
    assert [rival.end(signal.SIGTERM) for rival in rivals] == [0, 0]
    server.stop()


def rehearsal_on(folder, database, rehearsal_in):
    """A server on the real clock, whose rounds other processes move on."""
    (folder / "scaled").mkdir()
    changes = {"coordinator": "none", "database": database}
    server = rehearsal_in(folder / "scaled")
    server.stop()
    server.clock, server.changes, server.database = time.time, changes, database
    server.start()
    return server


def await_version(server, version):
    give_up_at = time.monotonic() + 30.0
    while server.admin.history("task").task.committed < version:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    return server.admin.history("task").task.checkpoint.sha256


def undisturbed(folder, rehearsal_in, vectors):
    (folder / "embedded").mkdir()
    server = rehearsal_in(folder / "embedded")
    server.create_task()
    for vector in reversed(vectors):
        server.phone().serve(vector)
    sha256 = server.admin.history("task").task.checkpoint.sha256
    server.stop()
    return sha256

"""The audit recomputes what a buffer came to, and finds a staleness that is not the true one."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pocketfed.protocol.folding import Adam, WeightedMean
from pocketfed.protocol.plan import Buffering
from pocketfed.server import Config
from pocketfed.server.operating.audit import audit

KEEP_S = 500.0


@pytest.fixture(scope="module")
def original(rehearsal_in, tmp_path_factory):
    """What a server leaves after three buffers, the last of which holds two stale updates."""
    server = rehearsal_in(tmp_path_factory.mktemp("left"), keep_updates_s=KEEP_S)
    server.create_task(
        goal=2,
        buffer=Buffering(concurrency=5, staleness_exponent=0.7),
        aggregator=WeightedMean(clip_norm=2.0),
        server_optimizer=Adam(),
    )
    slow = [server.phone() for _ in range(2)]
    for phone in slow:
        phone.check_in()
    for value, n in ((0.5, 10), (0.25, 30), (0.125, 2), (-1.0, 7)):
        server.phone().serve(server.delta(value), num_examples=n)
    for value, phone in zip((0.75, -0.25), slow, strict=True):
        phone.deliver(server.delta(value), num_examples=50)
    server.phone().check_in()
    server.phone().serve(server.delta(0.5))
    server.stop()
    return server.data


@pytest.fixture
def data(original, tmp_path) -> Path:
    """A copy of it to break."""
    return Path(shutil.copytree(original, tmp_path / "data"))


def findings(data):
    return audit(Config(data_dir=data, keep_updates_s=KEEP_S))


def broken(data):
    return {
        (one.invariant.letter, one.invariant.looked_at): one.violations[0]
        for one in findings(data)
        if one.violations
    }


def change(data, statement):
    with closing(sqlite3.connect(data / "pocketfed.sqlite3")) as connection, connection:
        assert connection.execute(statement).rowcount != 0


def test_nothing_is_wrong_with_what_buffers_leave(data) -> None:
    assert broken(data) == {}
    counts = {one.invariant.claim: one.count for one in findings(data)}
    assert counts["checkpoints equal their recomputation"] == 3
    assert counts["staleness is as told"] == 7


def test_an_update_after_the_time_out_of_a_buffer_that_still_waits_is_right(rehearse) -> None:
    server = rehearse(keep_updates_s=KEEP_S)
    server.create_task(goal=4, buffer=Buffering())
    server.phone().serve(server.delta(0.5))
    server.clock.wait(400.0)
    server.phone().serve(server.delta(0.25))
    assert server.admin.history("task").task.checkpoint.version == 1
    server.stop()
    assert broken(server.data) == {}
    server.start()


def test_a_manifest_with_another_staleness_gives_another_checkpoint(data) -> None:
    change(data, "UPDATE contributions SET staleness = 1 WHERE staleness = 2")
    found = broken(data)
    assert "from its manifest" in found["b", "rounds"]
    assert "counts as [1, 2] versions behind, it is 2" in found["f", "updates"]


def test_a_place_that_claims_to_have_trained_another_version_is_found(data) -> None:
    change(data, "UPDATE assignments SET base_version = base_version + 1 WHERE state = 'folded'")
    assert "versions behind, it is" in broken(data)["f", "updates"]


def test_an_update_that_was_too_stale_is_found(data) -> None:
    change(data, "UPDATE rounds SET max_staleness = 1")
    assert "2 versions behind, which is too far" in broken(data)["f", "updates"]


def test_an_update_in_the_buffer_before_its_place_was_given_is_found(data) -> None:
    change(data, "UPDATE updates SET accepted_at = accepted_at + 1000 WHERE staleness = 2")
    assert "came at" in broken(data)["i", "updates"]

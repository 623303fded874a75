"""The sweeper runs beside everything else and removes only what nothing needs."""

import logging
from threading import Thread

import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.errors import Unavailable
from pocketfed.server.blobs import FolderBlobs
from pocketfed.server.coordination.sweeper import ARRIVAL_MARGIN_S, ORPHAN_TTL_S
from pocketfed.server.store import Writing

ORPHAN = "0" * 64


@pytest.fixture
def sweeper(server):
    server.create_task()
    return server.server.coordinator._sweeper


@pytest.fixture
def phone(server, sweeper):
    phone = server.phone()
    phone.check_in()
    return phone


def test_an_orphan_goes_when_it_is_old(server, sweeper) -> None:
    server.leave(ORPHAN, b"no row", age_s=ORPHAN_TTL_S - 60.0)
    sweeper.sweep(server.clock())
    assert ORPHAN in server.blobs()
    server.age(ORPHAN, ORPHAN_TTL_S)
    sweeper.sweep(server.clock())
    assert ORPHAN not in server.blobs()


def test_a_body_that_may_still_be_arriving_stays(server, sweeper) -> None:
    longest_s = server.settings().upload_timeout_s + ARRIVAL_MARGIN_S
    server.leave("incoming-slow", b"half", age_s=longest_s - 60.0)
    server.leave("incoming-dead", b"half", age_s=longest_s)
    sweeper.sweep(server.clock())
    assert server.blobs() & {"incoming-slow", "incoming-dead"} == {"incoming-slow"}


def test_the_longest_upload_of_all_running_tasks_counts(server, sweeper) -> None:
    server.create_task("patient", upload_timeout_s=50_000.0)
    server.leave("incoming-slow", b"half", age_s=50_000.0)
    sweeper.sweep(server.clock())
    assert "incoming-slow" in server.blobs()
    server.admin.stop("patient")
    sweeper.sweep(server.clock())
    assert "incoming-slow" not in server.blobs()


def test_bytes_that_a_row_needs_stay_at_any_age(server, sweeper, phone) -> None:
    phone.deliver(server.delta(0.5))
    before = server.blobs()
    for name in before:
        server.age(name, 100 * ORPHAN_TTL_S)
    sweeper.sweep(server.clock())
    assert server.blobs() == before


def test_a_jump_of_the_servers_clock_makes_no_bytes_old(server, sweeper) -> None:
    server.leave(ORPHAN, b"just arrived", age_s=0.0)
    server.leave("incoming-now", b"half", age_s=0.0)
    sweeper.sweep(server.clock() + 10 * ORPHAN_TTL_S)
    assert {ORPHAN, "incoming-now"} <= server.blobs()


def test_it_sweeps_at_its_cadence_and_after_a_clock_was_set_back(server, sweeper) -> None:
    now = server.clock()
    sweeper.run(now)
    server.leave(ORPHAN, b"no row", age_s=ORPHAN_TTL_S)
    sweeper.run(now + 599.0)
    assert ORPHAN in server.blobs()
    sweeper.run(now + 600.0)
    assert ORPHAN not in server.blobs()
    server.leave(ORPHAN, b"no row", age_s=ORPHAN_TTL_S)
    sweeper.run(now)
    assert ORPHAN not in server.blobs()


def test_the_coordinator_sweeps(server, sweeper) -> None:
    server.leave(ORPHAN, b"no row", age_s=ORPHAN_TTL_S)
    server.clock.wait(600.0)
    server.server.coordinator.tick(server.clock())
    assert ORPHAN not in server.blobs()


def test_a_storage_that_does_not_answer_does_not_end_a_tick(
    server, sweeper, monkeypatch, caplog
) -> None:
    def fail(*_, **__):
        raise Unavailable("the disk failed")

    monkeypatch.setattr(FolderBlobs, "drop_arrivals", fail)
    with caplog.at_level(logging.WARNING):
        sweeper.run(server.clock() + 600.0)
    assert "nothing was swept: the disk failed" in caplog.text


def finish(server, phone) -> None:
    """The round commits, with every acknowledged update in it."""
    server.phone().serve(server.delta(1.0), num_examples=10)
    assert np.array_equal(server.weights(), np.full(16, 1.75, np.float32))


def test_an_orphan_that_is_published_between_look_and_removal_stays(
    server, sweeper, phone, monkeypatch
) -> None:
    """It had no row when the sweeper asked, and has one when the sweeper comes to it."""
    body = server.body(0.5)
    name = wire.sha256(body)
    instruction = phone.announce(body)
    server.leave(name, body, age_s=ORPHAN_TTL_S)
    names = FolderBlobs.names

    def upload_meanwhile(blobs, **limits):
        found = list(names(blobs, **limits))
        assert name in found
        phone.client.upload(instruction, body)
        yield from found

    monkeypatch.setattr(FolderBlobs, "names", upload_meanwhile)
    sweeper.sweep(server.clock())
    assert name in server.blobs()
    finish(server, phone)


def test_a_removal_waits_for_the_row_of_a_name_that_was_just_published(
    server, sweeper, phone, monkeypatch
) -> None:
    """The sweeper comes after the bytes were published and before their row is committed."""
    body = server.body(0.5)
    accept = Writing.accept_update
    removals = []

    def remove_meanwhile(tx, held, *, now):
        removals.append(Thread(target=sweeper._remove_orphan, args=(wire.sha256(body),)))
        removals[0].start()
        removals[0].join(0.2)
        assert removals[0].is_alive()
        return accept(tx, held, now=now)

    instruction = phone.announce(body)
    with monkeypatch.context() as patched:
        patched.setattr(Writing, "accept_update", remove_meanwhile)
        phone.client.upload(instruction, body)
    removals[0].join(10.0)
    assert wire.sha256(body) in server.blobs()
    finish(server, phone)


def test_a_publication_waits_for_a_removal_that_has_begun(
    server, sweeper, phone, monkeypatch
) -> None:
    body = server.body(0.5)
    name = wire.sha256(body)
    instruction = phone.announce(body)
    server.leave(name, body, age_s=ORPHAN_TTL_S)
    remove = FolderBlobs.remove
    uploads = []

    def upload_meanwhile(blobs, *names):
        uploads.append(Thread(target=phone.client.upload, args=(instruction, body)))
        uploads[0].start()
        uploads[0].join(0.2)
        assert uploads[0].is_alive()
        remove(blobs, *names)

    with monkeypatch.context() as patched:
        patched.setattr(FolderBlobs, "remove", upload_meanwhile)
        sweeper.sweep(server.clock())
    uploads[0].join(10.0)
    assert name in server.blobs()
    finish(server, phone)


def test_updates_that_two_rounds_share_go_with_the_last_of_them(server, sweeper) -> None:
    server.create_task("other", population="others")
    name = server.phone().serve(server.delta(0.5)).sha256
    other = server.phone()
    other.check_in("others")
    other.deliver(server.delta(0.5))
    server.phone().serve(server.delta(1.0))
    assert name in server.blobs()
    last = server.phone()
    last.check_in("others")
    last.deliver(server.delta(1.0))
    assert name not in server.blobs()


def test_many_spent_updates_are_released_in_several_transactions(
    server, sweeper, monkeypatch
) -> None:
    monkeypatch.setattr("pocketfed.server.coordination.sweeper.RELEASED_AT_ONCE", 2)
    server.create_task("wide", population="wide", goal=5, over_selection=1.0)
    for number in range(5):
        phone = server.phone()
        phone.check_in("wide")
        phone.deliver(server.delta(number / 8))
    assert not any(row["is_stored"] for row in server.rows("updates"))
    offered = {row["sha256"] for row in server.rows("checkpoints") + server.rows("deposits")}
    assert server.blobs() == offered

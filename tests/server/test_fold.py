"""A round's updates become the next checkpoint and state, alike however they are folded."""

import json
import os
import sqlite3
from dataclasses import dataclass

import numpy as np
import pytest
import sqlalchemy
from pocketfed.protocol import folding, wire
from pocketfed.protocol.admin import CreateTask
from pocketfed.protocol.errors import ConfigError, LostBlob
from pocketfed.protocol.plan import RoundSettings
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server.folding.fold import Basis, basis_of, fold
from pocketfed.server.folding.optimizers import encode_state, optimizer_of
from pocketfed.server.folding.workers import LocalWorkers, workers_of
from pocketfed.server.migrations import upgrade
from pocketfed.server.store import Checkpoint, Update

SPEC = WeightSpec.of({"kernel": (30, 5), "bias": (5,)})
ONE = LocalWorkers(count=1)
KINDS = [
    folding.WeightedMean(),
    folding.Mean(clip_norm=0.5),
    folding.TrimmedMean(fraction=0.2),
    folding.Median(),
]
ADAM = folding.Adam(learning_rate=0.1)


@dataclass
class Shelf:
    """Blobs in a dictionary, and a checkpoint and updates among them."""

    blobs: dict[str, bytes]
    checkpoint: Checkpoint
    updates: list[Update]

    def read(self, sha256):
        try:
            return self.blobs[sha256]
        except KeyError as error:
            raise FileNotFoundError(sha256) from error


def put(blobs, body):
    blobs[wire.sha256(body)] = body
    return wire.sha256(body)


@pytest.fixture
def shelf():
    rng = np.random.default_rng(11)
    blobs = {}

    def weights(scale):
        return Weights(SPEC, rng.normal(0.0, scale, SPEC.size).astype(np.float32))

    start = put(blobs, wire.encode(weights(1.0)))
    updates = [
        Update(assignment_id=f"a{n}", sha256=put(blobs, wire.encode(weights(0.1))), num_examples=n)
        for n in range(1, 12)
    ]
    checkpoint = Checkpoint(id=1, task_id=1, version=0, sha256=start, bytes=1, created_at=0.0)
    return Shelf(blobs, checkpoint, updates)


def task(**changes):
    name = "0" * 64
    return CreateTask(
        name="task",
        population="phones",
        settings=RoundSettings(**changes),
        spec=SPEC.entries,
        model_sha256=name,
        manifest_sha256=name,
        checkpoint_sha256=name,
    )


def folded(message, shelf, workers=ONE, updates=None):
    basis = basis_of(message, shelf.checkpoint, read=shelf.read)
    some = shelf.updates if updates is None else updates
    return fold(message, basis, some, read=shelf.read, workers=workers)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("count", [2, 3, 64])
def test_any_number_of_workers_gives_the_bits_of_one(shelf, kind, count, tmp_path) -> None:
    message = task(aggregator=kind, server_optimizer=ADAM)
    alone = folded(message, shelf)
    many = folded(message, shelf, LocalWorkers(count=count, scratch=tmp_path))
    assert many.vector.tobytes() == alone.vector.tobytes()
    assert [one.tobytes() for one in many.state] == [one.tobytes() for one in alone.state]
    assert many.update_norm == alone.update_norm


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_a_fold_is_the_step_of_the_optimizer_along_the_reference(shelf, reference, kind) -> None:
    found = folded(task(aggregator=kind), shelf)
    start = wire.decode(shelf.blobs[shelf.checkpoint.sha256], SPEC).vector
    reports = [
        (wire.decode(shelf.blobs[one.sha256], SPEC).vector, one.num_examples)
        for one in shelf.updates
    ]
    expected = start + reference.aggregate(kind, reports)
    np.testing.assert_array_max_ulp(found.vector, expected.astype(np.float32), maxulp=1)
    norm = np.linalg.norm(reference.aggregate(kind, reports))
    assert found.update_norm == pytest.approx(norm, rel=1e-6)


def test_a_round_starts_from_the_state_of_its_checkpoint(shelf) -> None:
    message = task(server_optimizer=ADAM)
    optimizer = optimizer_of(ADAM)
    first = folded(message, shelf)
    state = put(shelf.blobs, encode_state(first.state, optimizer))
    shelf.checkpoint = Checkpoint(**{**vars(shelf.checkpoint), "state_sha256": state})
    second = folded(message, shelf)
    assert second.vector.tobytes() != first.vector.tobytes()
    basis = basis_of(message, shelf.checkpoint, read=shelf.read)
    assert [one.tobytes() for one in basis.state] == [one.tobytes() for one in first.state]


@pytest.mark.parametrize("workers", [ONE, LocalWorkers(count=3)], ids=["one", "three"])
@pytest.mark.parametrize("damage", ["gone", "altered"])
def test_an_update_that_is_not_what_it_was_is_lost(shelf, workers, damage) -> None:
    lost = shelf.updates[5].sha256
    if damage == "gone":
        del shelf.blobs[lost]
    else:
        shelf.blobs[lost] = shelf.blobs[lost][:-1] + b"?"
    with pytest.raises(LostBlob, match=lost):
        folded(task(), shelf, workers)


def test_a_lost_checkpoint_is_named(shelf) -> None:
    del shelf.blobs[shelf.checkpoint.sha256]
    with pytest.raises(LostBlob, match=shelf.checkpoint.sha256):
        folded(task(), shelf)


def test_a_state_that_overflows_is_not_finite() -> None:
    message = task(server_optimizer=ADAM)
    zero, infinite = (np.full(SPEC.size, value, np.float32) for value in (0.0, np.inf))
    basis = Basis(vector=zero, state=(zero, infinite))
    after = fold(message, basis, [], read={}.__getitem__, workers=ONE)
    assert np.isfinite(after.vector).all()
    assert not after.is_finite


def test_the_state_is_kept_beside_its_checkpoint_and_nobody_can_download_it(server) -> None:
    server.create_task(goal=1, server_optimizer=ADAM)
    phone = server.phone()
    phone.serve(server.delta(0.5))
    first, second = server.rows("checkpoints")
    assert first["state_sha256"] is None
    assert second["state_sha256"] in server.blobs()
    path = f"/v1/blobs/{second['state_sha256']}"
    assert server.request("GET", path, phone=phone).status_code == 404
    token = {"Authorization": f"Bearer {server.server.admin_token}"}
    assert server.request("GET", path, headers=token).status_code == 404


def test_a_state_survives_a_restart_and_the_next_round_goes_on_from_it(server) -> None:
    server.create_task(goal=1, server_optimizer=folding.Sgd(momentum=0.5))
    server.phone().serve(server.delta(0.5))
    server.restart()
    server.phone().serve(server.delta(0.25))
    assert np.array_equal(server.weights(), np.full(16, 1.0 + 0.5 + (0.25 + 0.25), np.float32))


def test_without_an_optimizer_that_keeps_anything_there_is_no_state(server) -> None:
    server.create_task(goal=1)
    server.phone().serve(server.delta(0.5))
    assert [row["state_sha256"] for row in server.rows("checkpoints")] == [None, None]


def test_an_update_longer_than_the_guard_allows_is_not_committed(server) -> None:
    server.create_task(goal=1, max_update_norm=3.9)
    server.phone().serve(server.delta(1.0))  # 16 elements: a norm of 4
    first, again = server.rounds()
    assert (first.phase, first.reason) == ("abandoned", "guard")
    assert again.attempt == 2
    assert np.array_equal(server.weights(), server.delta(1.0).vector)


def test_an_update_as_long_as_the_guard_allows_is_committed(server) -> None:
    server.create_task(goal=1, max_update_norm=4.0)
    server.phone().serve(server.delta(1.0))
    assert server.rounds()[0].phase == "committed"


def test_a_new_attempt_starts_from_the_state_of_its_base(server) -> None:
    momentum = folding.Sgd(momentum=0.5)
    server.create_task(goal=1, max_update_norm=3.9, server_optimizer=momentum)
    server.phone().serve(server.delta(0.5))
    server.phone().serve(server.delta(1.0))
    server.phone().serve(server.delta(0.25))
    assert [one.reason for one in server.rounds()] == [None, "guard", None, None]
    assert np.array_equal(server.weights(), np.full(16, 1.0 + 0.5 + (0.25 + 0.25), np.float32))


def test_updates_stay_as_long_as_they_are_to_be_kept(rehearse) -> None:
    server = rehearse(keep_updates_s=100.0)
    server.create_task(goal=1)
    sha256 = server.phone().serve(server.delta(0.5)).sha256
    server.clock.wait(99.0)
    server.admin.history("task")
    assert sha256 in server.blobs()
    server.restart()
    assert sha256 in server.blobs()
    server.clock.wait(1.0)
    server.admin.history("task")
    assert sha256 not in server.blobs()


def test_an_update_that_a_later_round_has_too_stays_for_that_round(rehearse) -> None:
    server = rehearse(keep_updates_s=100.0)
    server.create_task(goal=1)
    sha256 = server.phone().serve(server.delta(0.5)).sha256
    server.clock.wait(60.0)
    assert server.phone().serve(server.delta(0.5)).sha256 == sha256
    server.clock.wait(60.0)
    server.admin.history("task")
    assert sha256 in server.blobs()
    assert [row["is_stored"] for row in server.rows("updates")] == [0, 1]


@pytest.mark.parametrize("changes", [{"fold": "cloud"}, {"keep_updates_s": -1.0}])
def test_a_setting_that_cannot_be_is_refused(rehearse, changes) -> None:
    with pytest.raises(ConfigError):
        rehearse(**changes)


def put_back(data, revision):
    """Makes a database as an older server left it: the same rows in the tables of a revision."""
    (data / "pocketfed.sqlite3").rename(data / "newer.sqlite3")
    engine = sqlalchemy.create_engine(f"sqlite:///{data}/pocketfed.sqlite3")
    with engine.begin() as connection:
        upgrade(connection, revision)
        run = connection.exec_driver_sql
        run("ATTACH DATABASE ? AS newer", (str(data / "newer.sqlite3"),))
        tables = [row.name for row in run("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in set(tables) - {"alembic_version", "sqlite_sequence"}:
            columns = ", ".join(row.name for row in run(f"PRAGMA table_info({table})"))
            run(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM newer.{table}")
    engine.dispose()


def test_an_older_data_folder_is_upgraded_and_goes_on_with_its_learning_rate(server) -> None:
    server.create_task(goal=1, server_optimizer=folding.Sgd(learning_rate=0.5))
    server.stop()
    put_back(server.data, "0002")
    with sqlite3.connect(server.data / "pocketfed.sqlite3") as connection:
        (text,) = connection.execute("SELECT message FROM tasks").fetchone()
        message = json.loads(text)
        for name in ("aggregator", "server_optimizer", "max_update_norm"):
            del message["settings"][name]
        message["settings"]["server_learning_rate"] = 0.5
        connection.execute("UPDATE tasks SET message = ?", (json.dumps(message),))
    connection.close()
    server.start()
    server.phone().serve(server.delta(0.5))
    assert np.array_equal(server.weights(), np.full(16, 1.25, np.float32))


def test_local_workers_are_as_many_as_this_process_may_use(tmp_path) -> None:
    assert workers_of("local", scratch=tmp_path).count == len(os.sched_getaffinity(0))

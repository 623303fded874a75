"""The audit finds nothing wrong with what a server leaves, and every invariant that is broken."""

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pocketfed import cli
from pocketfed.protocol import folding
from pocketfed.protocol.errors import ConfigError
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server import Config
from pocketfed.server.operating.audit import audit
from pocketfed.server.running.folder import DataFolder

KEEP_S = 500.0


@pytest.fixture(scope="module")
def original(rehearsal_in, tmp_path_factory):
    """What a server leaves after two tasks: rounds committed, abandoned and under way."""
    server = rehearsal_in(tmp_path_factory.mktemp("left"), keep_updates_s=KEEP_S)
    momentum = folding.Sgd(momentum=0.5)
    server.create_task(goal=2, server_optimizer=momentum, aggregator=folding.Median())
    server.create_task("other", population="others", goal=1, max_update_norm=3.0, rounds=2)
    for value, n in ((0.5, 10), (0.25, 30), (0.125, 2), (-1.0, 7)):
        server.phone().serve(server.delta(value), num_examples=n)
    for value in (1.0, 0.375):  # the first is longer than the guard allows
        other = server.phone()
        other.check_in("others")
        other.deliver(server.delta(value))
    server.phone().serve(server.delta(2.0))
    server.phone().check_in()
    quitter = server.phone()
    quitter.check_in("others")
    quitter.client.abort(quitter.place.assignment_id)
    server.clock.wait(10.0)
    server.admin.history("task")
    server.stop()
    return server.data


@dataclass(frozen=True)
class Left:
    data: Path


@pytest.fixture
def left(original, tmp_path):
    """A copy of it to break."""
    return Left(Path(shutil.copytree(original, tmp_path / "data")))


def weights_of(value):
    spec = WeightSpec.of({"w": (4,)})
    return Weights(spec, np.full(4, value, np.float32))


def findings(server):
    config = Config(data_dir=server.data, keep_updates_s=KEEP_S)
    return {(one.invariant.letter, one.invariant.looked_at): one for one in audit(config)}


def broken(server):
    return {key[0]: one.violations for key, one in findings(server).items() if one.violations}


def change(server, *statements):
    """Changes the tables by hand, as no server would."""
    connection = sqlite3.connect(server.data / "pocketfed.sqlite3")
    connection.execute("PRAGMA foreign_keys = OFF")
    for statement in statements:
        assert connection.execute(statement).rowcount != 0
    connection.commit()
    connection.close()


def without_constraints(table):
    """A table that takes rows its constraints would refuse."""
    return (
        f"CREATE TABLE loose AS SELECT * FROM {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE loose RENAME TO {table}",
    )


def blob(server, table, column="sha256", where="1"):
    connection = sqlite3.connect(server.data / "pocketfed.sqlite3")
    (name,) = connection.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
    connection.close()
    return server.data / "blobs" / name


def test_nothing_is_wrong_with_what_a_server_leaves(left) -> None:
    assert broken(left) == {}
    counts = {key: one.count for key, one in findings(left).items()}
    assert counts["a", "updates"] == 7
    assert counts["b", "rounds"] == 3
    assert counts["d", "checkpoints"] == 5
    assert counts["f", "checkpoints"] == 3
    assert all(counts.values())


def test_rounds_whose_updates_are_gone_are_not_recomputed(rehearse) -> None:
    server = rehearse(keep_updates_s=0.0)
    server.create_task(goal=1)
    server.phone().serve(server.delta(0.5))
    server.admin.history("task")
    server.stop()
    assert broken(server) == {}
    assert findings(server)["b", "rounds"].count == 0
    server.start()


def test_an_audit_changes_nothing_in_the_folder(left) -> None:
    before = {path: path.stat() for path in sorted(left.data.rglob("*"))}
    audit(Config(data_dir=left.data))
    after = {path: path.stat() for path in sorted(left.data.rglob("*"))}
    assert list(after) == list(before)
    assert [one.st_mtime_ns for one in after.values()] == [
        one.st_mtime_ns for one in before.values()
    ]


def test_a_second_update_of_a_device_in_a_round_is_found(left) -> None:
    change(
        left,
        *without_constraints("updates"),
        "UPDATE updates SET device_id = (SELECT device_id FROM updates WHERE rowid = 1)"
        " WHERE rowid = 2",
    )
    assert any("is a second one" in line for line in broken(left)["a"])


def test_an_update_through_another_devices_place_is_found(left) -> None:
    change(left, "UPDATE updates SET device_id = 'nobody' WHERE rowid = 1")
    assert "came through a place of device" in broken(left)["a"][0]


def test_a_checkpoint_that_its_manifest_does_not_give_is_found(left) -> None:
    change(left, "UPDATE contributions SET sha256 = (SELECT max(sha256) FROM contributions)")
    assert any("from its manifest" in line for line in broken(left)["b"])


def test_a_state_that_its_manifest_does_not_give_is_found(left) -> None:
    """The weights of the first round do not depend on the state that comes out of it."""
    change(
        left,
        "UPDATE checkpoints SET state_sha256 ="
        " (SELECT state_sha256 FROM checkpoints WHERE version = 2 AND task_id = 1)"
        " WHERE version = 1 AND task_id = 1",
    )
    assert any("which comes out as" in line for line in broken(left)["b"])


def test_a_checkpoint_that_was_altered_on_disk_is_found(left) -> None:
    path = blob(left, "checkpoints", where="version = 1")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert any("now has SHA-256" in line for line in broken(left)["b"])


@pytest.mark.parametrize("column", ["sha256", "state_sha256"])
def test_a_checkpoint_or_a_state_that_is_gone_is_found(left, column) -> None:
    blob(left, "checkpoints", column, "version = 2 AND task_id = 1").unlink()
    assert any("is gone" in line for line in broken(left)["b"])


def test_a_kept_update_that_is_gone_is_found(left) -> None:
    blob(left, "contributions").unlink()
    assert any("cannot be recomputed" in line for line in broken(left)["b"])


def test_an_acknowledged_update_outside_its_manifest_is_found(left) -> None:
    change(left, "DELETE FROM contributions WHERE rowid = 1")
    assert "is in 0 manifests" in broken(left)["c"][0]


def test_an_acknowledged_update_without_a_row_is_found(left) -> None:
    change(left, "DELETE FROM updates WHERE rowid = 1")
    lines = broken(left)["c"]
    assert "is nowhere" in lines[0]
    assert "counts 2 updates and has 1" in lines[1]


def test_an_abandoned_round_without_a_reason_is_found(left) -> None:
    change(left, "UPDATE rounds SET reason = NULL WHERE reason = 'guard'")
    assert "abandoned without a reason" in broken(left)["c"][0]


def test_a_lost_update_of_a_round_under_way_is_found(left) -> None:
    under_way = "round_id IN (SELECT id FROM rounds WHERE phase = 'selecting')"
    blob(left, "updates", where=under_way).unlink()
    assert "is gone" in broken(left)["c"][0]


def test_an_update_that_is_not_marked_as_folded_is_found(left) -> None:
    change(left, "UPDATE assignments SET state = 'uploaded' WHERE state = 'folded'")
    assert "expected folded" in broken(left)["c"][0]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE checkpoints SET version = 7 WHERE version = 2", "where version 2 should"),
        (
            "UPDATE rounds SET base_version = 5 WHERE phase = 'committed' AND base_version = 1",
            "was committed by 0 rounds",
        ),
        ("DELETE FROM checkpoints WHERE version = 2", "committed version 2, which is nowhere"),
    ],
)
def test_a_gap_between_versions_and_rounds_is_found(left, statement, message) -> None:
    change(left, statement)
    assert any(message in line for line in broken(left)["d"])


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE history SET state = 'selecting' WHERE state = 'aggregating'",
            "went from reporting to selecting",
        ),
        ("DELETE FROM history WHERE state = 'reported'", "lacks its transition 2"),
        ("UPDATE rounds SET phase = 'aggregating' WHERE phase = 'selecting'", "history ends at"),
        ("DELETE FROM history WHERE entity = 'task'", "history ends at"),
    ],
)
def test_a_transition_off_the_graph_is_found(left, statement, message) -> None:
    change(left, statement)
    assert any(message in line for line in broken(left)["e"])


def test_a_weight_that_was_not_reported_is_found(left) -> None:
    change(left, "UPDATE contributions SET num_examples = num_examples + 1 WHERE rowid = 1")
    assert "has weights of" in broken(left)["f"][0]


def test_a_blob_of_a_released_update_is_found(left) -> None:
    change(left, "UPDATE updates SET is_stored = 0 WHERE rowid = 1")
    assert "no longer kept" in broken(left)["h"][0]


def test_updates_that_outlive_their_time_are_found(left) -> None:
    change(left, "UPDATE rounds SET closed_at = closed_at - 600 WHERE phase = 'committed'")
    assert "still keeps" in broken(left)["h"][0]


def test_what_a_killed_server_leaves_half_written_is_no_violation(left) -> None:
    (left.data / "blobs" / "incoming-abc").write_bytes(b"half")
    (left.data / "blobs" / ("0" * 64)).write_bytes(b"published, and then nothing")
    assert broken(left) == {}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE updates SET accepted_at = accepted_at + 1000 WHERE rowid = 1", "came at"),
        ("UPDATE assignments SET assigned_at = assigned_at + 1e6 WHERE rowid = 1", "gave a place"),
    ],
)
def test_what_comes_after_the_deadline_is_found(left, statement, message) -> None:
    change(left, statement)
    assert message in broken(left)["i"][0]


def test_a_clock_that_was_set_back_in_a_rounds_time_is_no_violation(left) -> None:
    earlier = "UPDATE history SET at = at - 1e6 WHERE entity = 'round' AND state != 'selecting'"
    change(left, earlier)
    assert "i" not in broken(left)


def test_a_killed_server_leaves_nothing_to_find(live) -> None:
    live.create_task(weights_of(1.0), goal=1)
    live.phone().serve(weights_of(0.5))
    live.kill()
    assert [one.violations for one in audit(Config(data_dir=live.data))] == [()] * 10


def test_a_running_server_is_left_alone(server) -> None:
    with pytest.raises(ConfigError, match="a server runs"):
        audit(Config(data_dir=server.data))


def test_a_server_does_not_start_while_an_audit_reads(left) -> None:
    folder = DataFolder.borrow(left.data)
    with pytest.raises(ConfigError, match="another server"):
        DataFolder.claim(left.data)
    folder.release()


def test_a_folder_that_no_server_has_left_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no server"):
        audit(Config(data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_tables_of_another_version_are_refused(left) -> None:
    change(left, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(ConfigError, match="another version"):
        findings(left)


def test_a_file_that_is_no_database_is_refused(left) -> None:
    (left.data / "pocketfed.sqlite3").write_bytes(b"not a database" * 1000)
    with pytest.raises(ConfigError, match="cannot be read"):
        findings(left)


def test_the_command_prints_a_table_and_succeeds(left, capsys) -> None:
    words = ["pocketfed", "audit", f"--data_dir={left.data}", f"--keep_updates_s={KEEP_S}"]
    assert cli.main(words) == 0
    assert "checkpoints equal their recomputation" in capsys.readouterr().out


def test_the_command_names_each_violation_and_fails(left, capsys) -> None:
    change(left, "UPDATE contributions SET num_examples = num_examples + 1 WHERE rowid = 1")
    assert cli.main(["pocketfed", "audit", f"--data_dir={left.data}"]) == 1
    printed = capsys.readouterr()
    assert "(f) checkpoint 1 of task has weights of" in printed.out
    assert "1 violations" in printed.err

"""Tables from before there were buffers: places learn which version they trained."""

from __future__ import annotations

import pytest
from pocketfed.server import migrations
from sqlalchemy import create_engine, text

OLDER = (
    "INSERT INTO devices (id, token_sha256, client_version, enrolled_at)"
    " VALUES ('d', 'digest', '1', 0.0)",
    "INSERT INTO deposits (sha256, bytes, put_at) VALUES ('a', 1, 0.0)",
    "INSERT INTO tasks (id, name, population, message, model_sha256, model_bytes,"
    " manifest_sha256, manifest_bytes, status, created_at)"
    " VALUES (1, 't', 'p', '{}', 'a', 1, 'a', 1, 'running', 0.0)",
    "INSERT INTO rounds (id, task_id, number, attempt, base_version, phase, epoch, goal, minimum,"
    " capacity, selection_timeout_s, report_timeout_s, assigned, accepted, opened_at) VALUES"
    " (1, 1, 4, 1, 3, 'committed', 1, 1, 1, 1, 9.0, 9.0, 1, 1, 0.0),"
    " (2, 1, 6, 1, 5, 'selecting', 0, 1, 1, 1, 9.0, 9.0, 1, 0, 0.0)",
    "INSERT INTO assignments (id, round_id, device_id, state, assigned_at, ends_at) VALUES"
    " ('x', 1, 'd', 'folded', 0.0, 1.0), ('y', 2, 'd', 'assigned', 0.0, 1.0)",
    "INSERT INTO updates (assignment_id, round_id, device_id, sha256, bytes, num_examples,"
    " accepted_at, is_stored) VALUES ('x', 1, 'd', 'u', 1, 1, 0.5, {false})",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path):
    """The URL of a database without tables, and how it writes false."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'pocketfed.sqlite3'}", "0"
        return
    cluster = request.getfixturevalue("cluster")
    url = cluster.create(template="template1")
    yield url, "false"
    cluster.drop(url)


def test_places_get_the_version_of_their_round_and_no_round_becomes_a_buffer(empty) -> None:
    url, false = empty
    engine = create_engine(url)
    with engine.begin() as connection:
        migrations.upgrade(connection, "0008")
        for statement in OLDER:
            connection.execute(text(statement.replace("{false}", false)))
        migrations.upgrade(connection)

        def rows(columns, table):
            found = connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY 1"))
            return [tuple(row) for row in found]

        assert rows("id, base_version", "assignments") == [("x", 3), ("y", 5)]
        assert rows("id, concurrency, max_staleness", "rounds") == [
            (1, None, None),
            (2, None, None),
        ]
        assert rows("assignment_id, staleness", "updates") == [("x", 0)]
    engine.dispose()

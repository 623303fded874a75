"""Data folders of older versions come up to date with all that is in them."""

import sqlite3
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from pocketfed.server import migrations
from pocketfed.server.store import Store, file_url
from sqlalchemy import create_engine

FIRST = """
INSERT INTO devices VALUES ('d', 'digest', '1', 0.0);
INSERT INTO deposits VALUES ('a', 1, 0.0);
INSERT INTO tasks VALUES (1, 't', 'p', '{"settings": {}}', 'a', 1, 'a', 1, 'running', 0.0);
INSERT INTO checkpoints VALUES (1, 1, 0, 'a', 1, 0.0), (2, 1, 1, 'b', 1, 1.0);
INSERT INTO rounds VALUES
  (1, 1, 1, 1, 0, 'committed', 1, NULL, 1, 1, 1, 9.0, 9.0, 1, 1, 0.0, 0.0, 0.0, 1.0),
  (2, 1, 2, 1, 1, 'selecting', 0, NULL, 1, 1, 1, 9.0, 9.0, 0, 0, NULL, NULL, 1.0, NULL);
INSERT INTO assignments VALUES ('x', 1, 'd', 'folded', NULL, 0.0, 1.0, NULL);
INSERT INTO updates VALUES ('x', 1, 'd', 'u', 1, 1, NULL, 0.5, 0);
INSERT INTO contributions VALUES (2, 'x', 'u', 1);
"""


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """A database of the first tables, with a committed round and all that refers to it."""
    path = tmp_path / "pocketfed.sqlite3"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrations.upgrade(connection, "0001")
    engine.dispose()
    connection = sqlite3.connect(path)
    connection.executescript(FIRST)
    connection.close()
    return path


def test_a_database_of_the_first_version_keeps_every_row(first_version: Path) -> None:
    store = Store.open(file_url(first_version), connections=1)
    with store.read() as view:
        before, current = view.rounds(1)
        parents = [(one.version, one.parent) for one in view.checkpoints(1)]
        folded = view.updates(1)
    store.close()
    assert (before.kind, before.phase, current.number) == ("train", "committed", 2)
    assert parents == [(0, None), (1, 0)]
    assert [one.assignment_id for one in folded] == ["x"]


def test_references_hold_after_an_upgrade_and_are_checked_again(first_version: Path) -> None:
    store = Store.open(file_url(first_version), connections=1)
    with store._connected(store._dialect.write) as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    store.close()


def test_the_newest_revision_is_the_head_that_alembic_finds() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert migrations.newest() == scripts.get_current_head()


def test_a_database_is_of_no_revision_then_of_an_old_one_then_of_the_newest(
    first_version: Path, tmp_path: Path
) -> None:
    found = []
    for path in (tmp_path / "none.sqlite3", first_version):
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            found.append(migrations.is_newest(connection))
            migrations.upgrade(connection)
            found.append(migrations.is_newest(connection))
        engine.dispose()
    assert found == [False, True, False, True]

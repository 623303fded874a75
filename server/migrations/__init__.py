"""The history of the tables: one Alembic revision per change, applied when the store is opened."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text

_VERSIONS = Path(__file__).parent / "versions"


def upgrade(connection: Connection, revision: str = "") -> None:
    """Brings a database to a revision, else the newest, within the caller's transaction."""
    wanted = revision or newest()
    if _current(connection) != wanted:
        logging.getLogger("alembic").setLevel(logging.WARNING)  # it announces its every part
        from .upgrading import run  # slow to import, and few starts need it

        run(connection, wanted)


def is_newest(connection: Connection) -> bool:
    """Whether a database is of the newest revision; changes nothing."""
    return _current(connection) == newest()


def newest() -> str:
    """The last revision; files are named after their revisions, which are numbered in order."""
    return max(path.stem[1:5] for path in _VERSIONS.glob("v*.py"))


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version"))
    return found.scalar_one_or_none()

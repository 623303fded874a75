"""The history of the tables: one Alembic revision per change, applied when the store is opened."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Brings a database to a revision, the newest by default, within the caller's transaction."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it announces every start
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def is_newest(connection: Connection) -> bool:
    """Whether a database is of the newest revision; changes nothing."""
    found = MigrationContext.configure(connection).get_current_revision()
    return found == ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config

"""The history of the tables: one Alembic revision per change, applied when the store is opened."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Brings a database to a revision, else to the newest, within the caller's transaction."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it announces every start
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)

"""A database at rest: read as it lies, without a change to its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.exc import DatabaseError

from ...protocol.errors import ConfigError
from ..migrations import is_newest
from .reading import Reading


@contextmanager
def read_only(path: Path) -> Iterator[Reading]:
    """One view of a database that nobody writes; raises ConfigError when it cannot be read."""
    # A log of a killed server is read; where there is none, SQLite would make one.
    has_log = path.with_name(path.name + "-wal").exists()
    options = "mode=ro" if has_log else "mode=ro&immutable=1"
    engine = create_engine(f"sqlite:///file:{quote(str(path))}?{options}&uri=true")
    try:
        with engine.connect() as connection:
            if not is_newest(connection):
                reason = "its tables are of another version; start this version's server on it once"
                raise ConfigError("data_dir", str(path.parent), reason)
            yield Reading(connection)
    except DatabaseError as error:
        reason = f"its database cannot be read: {error.orig}"
        raise ConfigError("data_dir", str(path.parent), reason) from error
    finally:
        engine.dispose()

"""A database at rest: read as it lies, without a change to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from ...protocol.errors import ConfigError
from ..migrations import is_newest
from .dialects import SNAPSHOT
from .reading import Reading

_CONNECT_TIMEOUT_S = 5


@contextmanager
def read_file(path: Path) -> Iterator[Reading]:
    """One view of an SQLite file that nobody writes; raises ConfigError when it cannot be read."""
    # A log of a killed server is read; where there is none, SQLite would make one.
    has_log = path.with_name(path.name + "-wal").exists()
    options = "mode=ro" if has_log else "mode=ro&immutable=1"
    url = f"sqlite:///file:{quote(str(path))}?{options}&uri=true"
    engine = create_engine(url, paramstyle="named")
    with _reading(engine, setting="data_dir", value=str(path.parent)) as view:
        yield view


@contextmanager
def read_postgresql(url: str) -> Iterator[Reading]:
    """One snapshot of a PostgreSQL database; raises ConfigError when it cannot be read."""
    # No end for a transaction that idles: the audit folds between two of its questions.
    arguments = {"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "pocketfed audit"}
    engine = create_engine(url, connect_args=arguments).execution_options(**SNAPSHOT)
    shown = engine.url.render_as_string(hide_password=True)
    with _reading(engine, setting="database", value=shown) as view:
        yield view


@contextmanager
def _reading(engine: Engine, *, setting: str, value: str) -> Iterator[Reading]:
    try:
        with engine.connect() as connection:
            if not is_newest(connection):
                reason = "its tables are of another version; start this version's server on it once"
                raise ConfigError(setting, value, reason)
            yield Reading(connection)
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        cause = getattr(error, "orig", None) or error
        raise ConfigError(setting, value, f"its database cannot be read: {cause}") from error
    finally:
        engine.dispose()

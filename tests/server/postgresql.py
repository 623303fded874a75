"""A PostgreSQL of one's own: a private cluster, and as many fresh databases in it as wanted."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from pocketfed.server.store import Store
from psycopg.rows import dict_row

MISSING = "no initdb on PATH or in /usr/lib/postgresql: install PostgreSQL"
TEMPLATE = "upgraded"
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # what is killed here are processes; the machine stays up
    "shared_buffers": "32MB",
    "max_connections": "150",
    "logging_collector": "off",
}
_NUMBERS = itertools.count(1)


class Cluster:
    """A server on a socket in a folder of its own; it may be stopped and started again."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._binaries = binaries
        options = ["--auth=trust", "--username=pocketfed", "--encoding=UTF8", "--locale=C"]
        self._run("initdb", f"--pgdata={self._data}", "--no-instructions", "--no-sync", *options)
        lines = [f"{name} = '{value}'" for name, value in SETTINGS.items()]
        lines.append(f"unix_socket_directories = '{folder}'")
        (self._data / "postgresql.auto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        log = f"--log={self.folder / 'log'}"
        self._run("pg_ctl", "start", "--wait", f"--pgdata={self._data}", log)

    @property
    def process_id(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def stop(self) -> None:
        """As a crash does: nobody is asked to finish."""
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate", f"--pgdata={self._data}")

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://pocketfed@/{database}?host={self.folder}"

    def make_template(self) -> None:
        """A database with all tables, to be copied."""
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        Store.open(self.url(TEMPLATE), connections=1).close()

    def create(self, *, template: str = TEMPLATE) -> str:
        """Returns the URL of a fresh database."""
        name = f"test_{next(_NUMBERS)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        self._execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def hang_up(self, url: str) -> None:
        """Ends the connections to a database, as an administrator may."""
        self._execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE datname = '{_name(url)}'"
        )

    def revisions(self, url: str) -> list[str]:
        return [row["version_num"] for row in rows(url, "alembic_version")]

    def _execute(self, statement: str) -> None:
        with connect(self.url("postgres")) as connection:
            connection.execute(statement.encode())

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_user, str(self._binaries / program), *arguments]
        # Files instead of pipes: the server keeps what it inherits open.
        with (self.folder / "out").open("a+") as out:
            ended = subprocess.run(command, stdout=out, stderr=out, cwd=self.folder, timeout=60)
            out.seek(0)
            assert ended.returncode == 0, out.read()


@contextmanager
def cluster(binaries: Path) -> Iterator[Cluster]:
    """A running cluster of the programs in a folder (``installed``); it is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pocketfed-postgresql-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")  # PostgreSQL refuses to run as root
    made = Cluster(folder, binaries)
    made.start()
    try:
        made.make_template()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def rows(url: str, table: str) -> list[dict[str, Any]]:
    """All rows in the order of their first column."""
    with connect(url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall()


def tables(url: str) -> list[str]:
    with connect(url) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return [name for (name,) in connection.execute(query)]


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def installed() -> Path | None:
    """The folder of PostgreSQL's programs, if this machine has them."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None

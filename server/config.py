"""The server's settings: one table that gives defaults, environment variables, flags and docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..protocol.errors import ConfigError

ENVIRONMENT_PREFIX = "POCKETFED_"
COORDINATORS = ("thread", "inline", "none")
POSTGRESQL = "postgresql+psycopg://"


class Setting(NamedTuple):
    """One setting: ``read`` turns text into its value, and fails with ValueError."""

    name: str
    read: Callable[[str], Any]
    default: Any
    help: str

    @property
    def environment(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()


SETTINGS = (
    Setting(
        "data_dir", Path, Path("pocketfed-data"), "folder that holds everything the server keeps"
    ),
    Setting("host", str, "127.0.0.1", "address to listen on"),
    Setting("port", int, 8080, "port to listen on; 0 takes a free one"),
    Setting(
        "admin_token", str, "", "operator's token; empty: made once and kept in the data folder"
    ),
    Setting(
        "database",
        str,
        "",
        f"`{POSTGRESQL}USER@HOST/NAME`; empty: SQLite in the data folder",
    ),
    Setting(
        "workers",
        int,
        0,
        "processes of gunicorn that answer requests; 0: waitress in this process",
    ),
    Setting(
        "coordinator",
        str,
        "thread",
        "who moves rounds on: a `thread` of this process, each request (`inline`, for one "
        "process), or `none`: `pocketfed coordinate` does",
    ),
    Setting(
        "lease_s",
        float,
        15.0,
        "seconds of silence after which another coordinator folds a round",
    ),
    Setting("tick_s", float, 1.0, "seconds between two looks at the deadlines"),
    Setting("threads", int, 8, "requests answered at the same time"),
    Setting("connections", int, 1000, "connections kept open at the same time"),
    Setting("max_blob_bytes", int, 512 * 1024**2, "longest model, manifest or checkpoint taken"),
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one server; raises ConfigError for a value that cannot be used."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8080
    admin_token: str = ""
    database: str = ""
    workers: int = 0
    coordinator: str = "thread"
    lease_s: float = 15.0
    tick_s: float = 1.0
    threads: int = 8
    connections: int = 1000
    max_blob_bytes: int = 512 * 1024**2

    def __post_init__(self) -> None:
        self._require("port", 0 <= self.port <= 65535, "expected 0 to 65535")
        known = self.coordinator in COORDINATORS
        self._require("coordinator", known, f"expected one of {', '.join(COORDINATORS)}")
        for name in ("lease_s", "tick_s", "threads", "connections", "max_blob_bytes"):
            self._require(name, getattr(self, name) > 0, "expected more than 0")
        self._require("admin_token", self.admin_token.isascii(), "expected ASCII characters")
        self._require_database()

    @property
    def is_scaled(self) -> bool:
        """Whether several processes may share this server's database."""
        return bool(self.database)

    def _require_database(self) -> None:
        scheme, _, _ = self.database.partition("//")  # what follows may hold a password
        if self.database and not self.database.startswith(POSTGRESQL):
            raise ConfigError("database", f"{scheme}…", f"expected {POSTGRESQL}USER@HOST/NAME")
        self._require("workers", self.workers >= 0, "expected 0 or more")
        can_work = self.workers == 0 or self.is_scaled
        self._require("workers", can_work, "several processes need PostgreSQL; set database")
        is_apart = self.workers == 0 or self.coordinator == "none"
        reason = "with workers set coordinator=none and run `pocketfed coordinate` beside them"
        self._require("coordinator", is_apart, reason)
        can_wait = self.coordinator != "none" or self.is_scaled
        reason = "nobody else can move rounds on in an SQLite file; set database, or take thread"
        self._require("coordinator", can_wait, reason)

    def _require(self, setting: str, holds: bool, reason: str) -> None:
        if not holds:
            raise ConfigError(setting, getattr(self, setting), reason)


def load(*, flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Config:
    """Takes each setting from its flag, else its environment variable, else its default."""
    values = {}
    for setting in SETTINGS:
        text = flags.get(setting.name)
        if text is None:
            text = environment.get(setting.environment)
        values[setting.name] = setting.default if text is None else _read(setting, text)
    return Config(**values)


def table() -> str:
    """The settings as a Markdown table, for the docs."""
    lines = ["| flag | environment | default | meaning |", "|---|---|---|---|"]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if str(setting.default) else "empty"
        lines.append(
            f"| `--{setting.name}` | `{setting.environment}` | {default} | {setting.help} |"
        )
    return "\n".join(lines)


def _read(setting: Setting, text: str) -> Any:
    try:
        return setting.read(text)
    except ValueError as error:
        reason = f"expected a value of type {setting.read.__name__}"
        raise ConfigError(setting.name, text, reason) from error

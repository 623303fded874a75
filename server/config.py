"""The server's settings: one table that gives defaults, environment variables, flags and docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..protocol.errors import ConfigError

ENVIRONMENT_PREFIX = "POCKETFED_"
COORDINATORS = ("thread", "inline")


class Setting(NamedTuple):
    """One setting: ``read`` turns text into its value, and fails with ValueError."""

    name: str
    read: Callable[[str], Any]
    default: Any
    help: str

    @property
    def environment(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def shown(self) -> str:
        """The default as it would be given."""
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        return str(self.default)


def switch(text: str) -> bool:
    """Reads ``on`` or ``off``; raises ValueError."""
    if text not in ("on", "off"):
        raise ValueError(text)
    return text == "on"


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
        "coordinator", str, "thread", "who moves rounds on: `thread`, or `inline` in each request"
    ),
    Setting("tick_s", float, 1.0, "seconds between two looks at the deadlines"),
    Setting("threads", int, 8, "requests answered at the same time"),
    Setting("connections", int, 1000, "connections kept open at the same time"),
    Setting("max_blob_bytes", int, 512 * 1024**2, "longest model, manifest or checkpoint taken"),
    Setting("blobs", str, "", "where bytes lie: `s3://bucket/prefix`; empty: in the data folder"),
    Setting(
        "presign", switch, True, "`on`: devices talk to S3 by themselves; `off`: to the server only"
    ),
    Setting("min_free_bytes", int, 1024**3, "disk space below which no place is given"),
    Setting("sweep_s", float, 600.0, "seconds between two searches for bytes that nothing needs"),
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one server; raises ConfigError for a value that cannot be used."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8080
    admin_token: str = ""
    coordinator: str = "thread"
    tick_s: float = 1.0
    threads: int = 8
    connections: int = 1000
    max_blob_bytes: int = 512 * 1024**2
    blobs: str = ""
    presign: bool = True
    min_free_bytes: int = 1024**3
    sweep_s: float = 600.0

    def __post_init__(self) -> None:
        self._require("port", 0 <= self.port <= 65535, "expected 0 to 65535")
        known = self.coordinator in COORDINATORS
        self._require("coordinator", known, f"expected one of {', '.join(COORDINATORS)}")
        for name in ("tick_s", "threads", "connections", "max_blob_bytes", "sweep_s"):
            self._require(name, getattr(self, name) > 0, "expected more than 0")
        self._require("min_free_bytes", self.min_free_bytes >= 0, "expected 0 or more")
        self._require("admin_token", self.admin_token.isascii(), "expected ASCII characters")

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
        default = f"`{setting.shown}`" if setting.shown else "empty"
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

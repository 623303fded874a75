"""The server's settings: one table that gives defaults, environment variables, flags and docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..protocol.errors import ConfigError

ENVIRONMENT_PREFIX = "POCKETFED_"
COORDINATORS = ("thread", "inline")
LOG_FORMATS = ("json", "text")
LOG_LEVELS = ("debug", "info", "warning", "error")
_CHOICES = {"coordinator": COORDINATORS, "log_format": LOG_FORMATS, "log_level": LOG_LEVELS}


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
        "coordinator", str, "thread", "who moves rounds on: `thread`, or `inline` in each request"
    ),
    Setting("tick_s", float, 1.0, "seconds between two looks at the deadlines"),
    Setting("threads", int, 8, "requests answered at the same time"),
    Setting("connections", int, 1000, "connections kept open at the same time"),
    Setting("max_blob_bytes", int, 512 * 1024**2, "longest model, manifest or checkpoint taken"),
    Setting("log_format", str, "json", "lines on stderr: `json`, or `text` for a person"),
    Setting("log_level", str, "info", "least grave line: `debug`, `info`, `warning` or `error`"),
    Setting("metrics_token", str, "", "token that `/metrics` asks for; empty: it is open"),
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
    log_format: str = "json"
    log_level: str = "info"
    metrics_token: str = ""

    def __post_init__(self) -> None:
        self._require("port", 0 <= self.port <= 65535, "expected 0 to 65535")
        for name, known in _CHOICES.items():
            is_known = getattr(self, name) in known
            self._require(name, is_known, f"expected one of {', '.join(known)}")
        for name in ("tick_s", "threads", "connections", "max_blob_bytes"):
            self._require(name, getattr(self, name) > 0, "expected more than 0")
        for name in ("admin_token", "metrics_token"):
            self._require(name, getattr(self, name).isascii(), "expected ASCII characters")

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

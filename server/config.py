"""The server's settings: one table that gives defaults, environment variables, flags and docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..protocol.errors import ConfigError
from .folding.workers import FOLDS
from .trust.attestation import Verifier
from .trust.limits import Limit

ENVIRONMENT_PREFIX = "POCKETFED_"
COORDINATORS = ("thread", "inline", "none")
POSTGRESQL = "postgresql+psycopg://"
ATTESTATIONS = ("none", "play_integrity")
LOG_FORMATS = ("json", "text")
LOG_LEVELS = ("debug", "info", "warning", "error")
_CHOICES = {
    "coordinator": COORDINATORS,
    "fold": FOLDS,
    "attestation": ATTESTATIONS,
    "log_format": LOG_FORMATS,
    "log_level": LOG_LEVELS,
}
_POSITIVE = (
    "tick_s",
    "lease_s",
    "threads",
    "connections",
    "token_ttl_s",
    "check_ins_burst",
    "enrolments_burst",
    "max_blob_bytes",
    "sweep_s",
)
_NOT_NEGATIVE = (
    "check_ins_per_h",
    "enrolments_per_h",
    "proxy_hops",
    "keep_updates_s",
    "min_free_bytes",
)


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
    Setting("fold", str, "local", "who folds updates: threads of this server (`local`), or `ray`"),
    Setting(
        "keep_updates_s", float, 3600.0, "seconds the updates of a round stay after it was closed"
    ),
    Setting("tick_s", float, 1.0, "seconds between two looks at the deadlines"),
    Setting("threads", int, 8, "requests answered at the same time"),
    Setting("connections", int, 1000, "connections kept open at the same time"),
    Setting("token_ttl_s", float, 30 * 24 * 3600.0, "how long a device's token holds, in seconds"),
    Setting(
        "check_ins_per_h",
        float,
        600.0,
        "check-ins one device may make in the long run; 0: no limit",
    ),
    Setting("check_ins_burst", int, 60, "check-ins one device may make at once"),
    Setting(
        "enrolments_per_h",
        float,
        0.0,
        "enrolments one network (/24, /48) may make in the long run; 0: no limit",
    ),
    Setting("enrolments_burst", int, 100, "enrolments one network may make at once"),
    Setting("proxy_hops", int, 0, "proxies in front whose X-Forwarded-For is to be believed"),
    Setting(
        "admin_proxy_header",
        str,
        "",
        "header in which a proxy says `SUCCESS` of an operator's client certificate",
    ),
    Setting("attestation", str, "none", "what vouches for devices: `none` or `play_integrity`"),
    Setting("play_integrity_package", str, "", "package name of the app that may enrol"),
    Setting("play_integrity_decryption_key", str, "", "from the Play Console, in Base64"),
    Setting("play_integrity_verification_key", str, "", "from the Play Console, in Base64"),
    Setting("max_blob_bytes", int, 512 * 1024**2, "longest model, manifest or checkpoint taken"),
    Setting("blobs", str, "", "where bytes lie: `s3://bucket/prefix`; empty: in the data folder"),
    Setting(
        "presign", switch, True, "`on`: devices talk to S3 by themselves; `off`: to the server only"
    ),
    Setting("min_free_bytes", int, 1024**3, "disk space below which no place is given"),
    Setting("sweep_s", float, 600.0, "seconds between two searches for bytes that nothing needs"),
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
    database: str = ""
    workers: int = 0
    coordinator: str = "thread"
    fold: str = "local"
    keep_updates_s: float = 3600.0
    lease_s: float = 15.0
    tick_s: float = 1.0
    threads: int = 8
    connections: int = 1000
    token_ttl_s: float = 30 * 24 * 3600.0
    check_ins_per_h: float = 600.0
    check_ins_burst: int = 60
    enrolments_per_h: float = 0.0
    enrolments_burst: int = 100
    proxy_hops: int = 0
    admin_proxy_header: str = ""
    attestation: str = "none"
    play_integrity_package: str = ""
    play_integrity_decryption_key: str = ""
    play_integrity_verification_key: str = ""
    max_blob_bytes: int = 512 * 1024**2
    blobs: str = ""
    presign: bool = True
    min_free_bytes: int = 1024**3
    sweep_s: float = 600.0
    log_format: str = "json"
    log_level: str = "info"
    metrics_token: str = ""

    def __post_init__(self) -> None:
        self._require("port", 0 <= self.port <= 65535, "expected 0 to 65535")
        for name, known in _CHOICES.items():
            is_known = getattr(self, name) in known
            self._require(name, is_known, f"expected one of {', '.join(known)}")
        for name in _POSITIVE:
            self._require(name, getattr(self, name) > 0, "expected more than 0")
        for name in _NOT_NEGATIVE:
            self._require(name, getattr(self, name) >= 0, "expected 0 or more")
        behind_proxy = not self.admin_proxy_header or self.proxy_hops > 0
        reason = "anyone could send it: it needs a proxy in front that sets it, and proxy_hops"
        self._require("admin_proxy_header", behind_proxy, reason)
        for name in ("admin_token", "metrics_token"):
            self._require(name, getattr(self, name).isascii(), "expected ASCII characters")
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

    @property
    def check_ins(self) -> Limit:
        return Limit(per_hour=self.check_ins_per_h, burst=self.check_ins_burst)

    @property
    def enrolments(self) -> Limit:
        return Limit(per_hour=self.enrolments_per_h, burst=self.enrolments_burst)

    def verifier(self) -> Verifier | None:
        """What vouches for devices; raises ConfigError when its keys cannot be read."""
        if self.attestation == "none":
            return None
        from .trust.play_integrity import PlayIntegrity

        return PlayIntegrity.from_text(
            package=self.play_integrity_package,
            decryption_key=self.play_integrity_decryption_key,
            verification_key=self.play_integrity_verification_key,
        )

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

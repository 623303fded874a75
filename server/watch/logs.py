"""The log: one line per request, per transition of a round, and per failure.

Facts that are bound at the rim of a request are in every line that is written on its behalf; they
live in context variables, so threads and greenlets do not see each other's. No line ever holds a
token or a body.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars
from structlog.stdlib import ProcessorFormatter

from ..store import Transition

NAME = "pocketfed"
_SAFE = re.compile(r"[A-Za-z0-9._:-]{1,64}")

log: Any = structlog.wrap_logger(
    logging.getLogger(NAME),
    wrapper_class=structlog.stdlib.BoundLogger,
    processors=[
        structlog.stdlib.filter_by_level,
        merge_contextvars,
        ProcessorFormatter.wrap_for_formatter,
    ],
)


def log_to(stream: TextIO, *, log_format: str, log_level: str) -> None:
    """Sends every line of this process to ``stream``, those of absl and other libraries too."""
    level = log_level.upper()
    root = logging.getLogger()
    for handler in [*root.handlers]:
        root.removeHandler(handler)
    root.addHandler(handler_of(stream, log_format=log_format))
    root.setLevel(level)
    logging.getLogger("absl").setLevel(level)


def handler_of(stream: TextIO, *, log_format: str) -> logging.Handler:
    """Writes records as JSON, one object a line, or as text for a person."""
    render: Any = structlog.processors.JSONRenderer(serializer=_json)
    if log_format == "text":
        render = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[merge_contextvars],
            processors=[
                _head,
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    return handler


def begin(**facts: object) -> None:
    """Forgets what was bound before, and binds these facts."""
    clear_contextvars()
    bind(**facts)


def bind(**facts: object) -> None:
    """Adds facts to every later line of this request; text from outside must be a plain word."""
    bind_contextvars(**{name: fact for name, fact in facts.items() if is_plain(fact)})


def is_plain(fact: object) -> bool:
    """Whether a fact may stand in a line as it is: a number, or one short word."""
    return isinstance(fact, int | float) or bool(_SAFE.fullmatch(str(fact)))


def log_transitions(transitions: Sequence[Transition]) -> None:
    """One line per change of state; those of single devices only where everything is logged."""
    for moved in transitions:
        say = log.debug if moved.entity == "assignment" else log.info
        facts = {**moved.about, "reason": moved.reason} if moved.reason else moved.about
        if moved.entity == "assignment":
            facts = {**facts, "assignment": moved.entity_id}
        say(f"{moved.entity} is {moved.state}", state=moved.state, **facts)


def _json(event: Any, *, default: Callable[[Any], Any], **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=default).decode()


def _head(logger: object, method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Puts what every line has first: when, how grave, who, what."""
    record: logging.LogRecord = event["_record"]
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    head = {
        "timestamp": at.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event.pop("event"),
    }
    return {**head, **event}

"""HTTP for both sides of the server: tokens, bodies, records and problem documents."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import msgspec
from absl import logging
from flask import Flask, Request, Response
from werkzeug.exceptions import ClientDisconnected, HTTPException

from ...protocol.errors import (
    MalformedPayload,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PocketFedError,
    ProtocolError,
    RangeNotSatisfiable,
    TruncatedBody,
    Unauthenticated,
    Unavailable,
)
from ...protocol.problems import Problem, to_problem
from ...protocol.record import Record

MAX_JSON_BYTES = 1024**2
JSON = "application/json"
PROBLEM = "application/problem+json"
_MAX_DIGITS = 18

_R = TypeVar("_R", bound=Record)
_KINDS = {
    kind.status: kind
    for kind in (
        MalformedPayload,
        NotFound,
        MethodNotAllowed,
        PayloadTooLarge,
        RangeNotSatisfiable,
    )
}


def render(record: Record, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(record.to_json(), status, headers, mimetype=JSON)


def parse(request: Request, kind: type[_R]) -> _R:
    """Reads a JSON body as a record; raises MalformedPayload."""
    return kind.from_json(request.get_data(cache=False))


def bearer(request: Request) -> str:
    """The token of a request; raises Unauthenticated when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("send your token in the header 'Authorization: Bearer TOKEN'")
    return token.strip()


def optional_bearer(request: Request) -> str | None:
    """The token of a request that may come without one."""
    return bearer(request) if "Authorization" in request.headers else None


def idempotency_key(request: Request) -> str | None:
    """What marks a repeated request as the same one."""
    return request.headers.get("Idempotency-Key") or None


def content_length(request: Request) -> int | None:
    """The length a body is said to have, or None when no number says it."""
    text = request.headers.get("Content-Length", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else None


def positive(request: Request, name: str) -> float | None:
    """A number above 0 in the query, or None when it is not given; raises MalformedPayload."""
    text = request.args.get(name)
    if text is None:
        return None
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    if not is_number or int(text) == 0:
        raise MalformedPayload(f"{name} is {text[:40]!r}, expected a whole number above 0")
    return float(text)


def raw_body(request: Request) -> Callable[[int], bytes]:
    """Reads the body as it came; the reader counts, for servers end a cut body without a word."""
    stream = request.environ["wsgi.input"]
    return lambda size: bytes(stream.read(size))


def retry_after(wait_s: float) -> str:
    """The value of a Retry-After field: whole seconds, never too early."""
    return str(math.ceil(wait_s))


def answer_errors(app: Flask) -> None:
    """Makes every error of an application a problem document."""
    app.register_error_handler(PocketFedError, problem)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(Exception, _unexpected)


def problem(error: PocketFedError) -> Response:
    headers = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = retry_after(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    body = msgspec.json.encode(to_problem(error))
    return Response(body, error.status, headers, mimetype=PROBLEM)


def _http_problem(error: HTTPException) -> Response:
    """What werkzeug refuses: unknown paths, wrong methods, ranges, lengths."""
    status = error.code or 500
    kind = TruncatedBody if isinstance(error, ClientDisconnected) else _KINDS.get(status)
    body = Problem(
        code=(kind or ProtocolError).code,
        title=(kind or ProtocolError).__name__,
        status=status,
        detail=error.description or error.name,
    )
    kept = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return Response(msgspec.json.encode(body), status, kept, mimetype=PROBLEM)


def _unexpected(error: Exception) -> Response:
    """The rim: the trace goes to the log, and nothing of it to the sender."""
    logging.error("a request failed", exc_info=error)
    return problem(PocketFedError("the server failed on this request; its log has the reason"))

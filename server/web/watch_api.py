"""Every request is watched: it has an id, is counted, timed, and leaves one line in the log."""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from flask import Blueprint, Flask, Response, g, request

from ...protocol.errors import Unauthenticated
from ...protocol.problems import Problem
from ..watch import logs
from .access import token_digest
from .http import PROBLEM, bearer

if TYPE_CHECKING:
    from ..watch.metrics import Metrics

REQUEST_ID = "X-Request-ID"
NO_ROUTE = "none"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_QUIET = frozenset({"/metrics", "/healthz", "/readyz"})
_BOUND = {"assignment_id": "assignment", "population": "population", "name": "task"}


def blueprint(metrics: Metrics, *, token: str) -> Blueprint:
    """``GET /metrics``; open unless there is a token for it."""
    api = Blueprint("watch_api", __name__)
    digest = token_digest(token)

    @api.get("/metrics")
    def expose() -> Response:
        if token and not hmac.compare_digest(digest, token_digest(bearer(request))):
            raise Unauthenticated("the token is not the one of the setting metrics_token")
        return Response(metrics.expose(), content_type=metrics.media_type)

    return api


def watch_requests(
    app: Flask, metrics: Metrics, *, timer: Callable[[], float], seed: bytes
) -> None:
    """Surrounds every request of an application; ``seed`` tells its ids from another process's."""
    numbers = itertools.count(1)
    prefix = seed.hex()

    @app.before_request
    def begin() -> None:
        g.started_s = timer()
        given = request.headers.get(REQUEST_ID, "")
        g.request_id = given if logs.is_plain(given) else f"{prefix}-{next(numbers)}"
        path = request.view_args or {}
        known = {_BOUND[name]: value for name, value in path.items() if name in _BOUND}
        logs.begin(request_id=g.request_id, **known)

    @app.after_request
    def end(answer: Response) -> Response:
        duration_s = timer() - g.started_s
        method = request.method if request.method in _METHODS else "other"
        route = request.url_rule.rule if request.url_rule else NO_ROUTE
        code = _code(answer)
        metrics.request(
            method=method,
            route=route,
            status=answer.status_code,
            code=code,
            duration_s=duration_s,
        )
        facts = {"code": code} if code else {}
        _voice(route, answer.status_code)(
            "request",
            method=method,
            route=route,
            status=answer.status_code,
            duration_ms=round(duration_s * 1000, 3),
            **facts,
        )
        answer.headers[REQUEST_ID] = g.request_id
        return answer


def _code(answer: Response) -> str:
    """The code of a problem document; empty for every other answer."""
    if answer.mimetype != PROBLEM:
        return ""
    return msgspec.json.decode(answer.get_data(), type=Problem).code


def _voice(route: str, status: int) -> Callable[..., None]:
    """How loud a request's line is: what probes ask every few seconds is not worth one."""
    if status >= 500:
        chosen = logs.log.warning
    else:
        chosen = logs.log.debug if route in _QUIET else logs.log.info
    voice: Callable[..., None] = chosen
    return voice

"""The operations for whoever watches: probes, metrics, the operator's page, this description."""

from __future__ import annotations

from ....protocol import errors
from .operation import ANY_JSON, HTML, METRICS, TEXT, Access, Answer, Operation

ITSELF = (
    Operation(
        method="GET",
        route="/v1/openapi.json",
        name="description",
        summary="This description.",
        access=Access.NONE,
        answers=(Answer(200, "OpenAPI 3.1", ANY_JSON),),
    ),
    Operation(
        method="GET",
        route="/healthz",
        name="is_alive",
        summary="Answers while the process lives.",
        access=Access.NONE,
        answers=(Answer(200, "alive", TEXT),),
    ),
    Operation(
        method="GET",
        route="/readyz",
        name="is_ready",
        summary="Answers while the server can serve.",
        access=Access.NONE,
        answers=(Answer(200, "ready", TEXT),),
    ),
    Operation(
        method="GET",
        route="/metrics",
        name="metrics",
        summary="Counts and states in the format of Prometheus.",
        access=Access.METRICS,
        answers=(Answer(200, "the metrics", METRICS),),
    ),
)

PAGE = (
    Operation(
        method="GET",
        route="/admin",
        name="page",
        summary="The operator's page, or its log-in.",
        access=Access.NONE,
        answers=(Answer(200, "a page", HTML),),
    ),
    Operation(
        method="GET",
        route="/admin/static/<path:filename>",
        name="page_part",
        summary="A part of the operator's page.",
        access=Access.NONE,
        answers=(Answer(200, "a style, a script or a picture", "*/*"), Answer(304, "unchanged")),
        problems=(errors.NotFound,),
    ),
    Operation(
        method="POST",
        route="/admin/login",
        name="log_in",
        summary="Trades the operator's token for a cookie.",
        access=Access.NONE,
        body="application/x-www-form-urlencoded",
        answers=(Answer(303, "to the page"), Answer(401, "the log-in again", HTML)),
    ),
    Operation(
        method="POST",
        route="/admin/logout",
        name="log_out",
        summary="Forgets the cookie.",
        access=Access.NONE,
        answers=(Answer(303, "to the log-in"),),
    ),
)

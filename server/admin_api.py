"""The operator's side of HTTP: parse, call, render."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request

from ..protocol.admin import CreateTask, PostEvaluation, RollBack
from ..protocol.errors import LengthRequired, MalformedPayload, PayloadTooLarge
from .access import Access
from .control import Control
from .funnel import Funnels
from .http import bearer, content_length, parse, positive, raw_body, render
from .tasks import Tasks

_SHA256 = re.compile("[0-9a-f]{64}")


def blueprint(
    tasks: Tasks, control: Control, funnels: Funnels, access: Access, *, max_blob_bytes: int
) -> Blueprint:
    """The routes of an operator; docs/protocol.md, "Operator"."""
    api = Blueprint("admin_api", __name__, url_prefix="/v1/admin")

    @api.before_request
    def authenticate() -> None:
        access.require_operator(bearer(request))

    @api.put("/blobs/<sha256>")
    def put(sha256: str) -> Response:
        if not _SHA256.fullmatch(sha256):
            raise MalformedPayload("the path ends in no SHA-256 of 64 lower-case hex digits")
        length = content_length(request)
        if length is None:
            raise LengthRequired("send Content-Length with a blob")
        if length > max_blob_bytes:
            raise PayloadTooLarge(f"the blob has {length} bytes, at most {max_blob_bytes}")
        is_new = tasks.put(sha256, raw_body(request), length=length)
        return Response(status=201 if is_new else 200)

    @api.post("/tasks")
    def create() -> Response:
        summary, is_new = tasks.create(parse(request, CreateTask))
        return render(summary, 201 if is_new else 200)

    @api.get("/tasks")
    def tasks_() -> Response:
        return render(tasks.all())

    @api.get("/tasks/<name>")
    def history(name: str) -> Response:
        return render(tasks.history(name))

    @api.get("/tasks/<name>/funnel")
    def funnel(name: str) -> Response:
        return render(funnels.of(name, window_s=positive(request, "window_s")))

    _add_control(api, control)
    return api


def _add_control(api: Blueprint, control: Control) -> None:
    @api.post("/tasks/<name>/pause")
    def pause(name: str) -> Response:
        return render(control.pause(name))

    @api.post("/tasks/<name>/resume")
    def resume(name: str) -> Response:
        return render(control.resume(name))

    @api.post("/tasks/<name>/stop")
    def stop(name: str) -> Response:
        return render(control.stop(name))

    @api.post("/tasks/<name>/rollback")
    def roll_back(name: str) -> Response:
        return render(control.roll_back(name, parse(request, RollBack).version))

    @api.post("/tasks/<name>/evaluations")
    def evaluate(name: str) -> Response:
        evaluation, is_new = control.evaluate(name, parse(request, PostEvaluation))
        return render(evaluation, 201 if is_new else 200)

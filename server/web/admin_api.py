"""The operator's side of HTTP: parse, call, render."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request

from ...protocol.admin import CreateTask, PostEvaluation, RollBack
from ...protocol.errors import LengthRequired, MalformedPayload, PayloadTooLarge
from ..config import Config
from ..operating.control import Control
from ..operating.tasks import Tasks
from ..trust.devices import Devices
from ..watch.funnel import Funnels
from .access import Access
from .http import bearer, content_length, parse, positive, raw_body, render

# What nginx says of a client certificate it has checked ($ssl_client_verify).
VERIFIED = "SUCCESS"
_SHA256 = re.compile("[0-9a-f]{64}")


def blueprint(
    tasks: Tasks,
    control: Control,
    devices: Devices,
    funnels: Funnels,
    access: Access,
    config: Config,
) -> Blueprint:
    """The routes of an operator; docs/protocol.md, "Operator"."""
    api = Blueprint("admin_api", __name__, url_prefix="/v1/admin")

    @api.before_request
    def authenticate() -> None:
        header = config.admin_proxy_header
        is_vouched_for = header and request.headers.get(header) == VERIFIED
        if not is_vouched_for:
            access.require_operator(bearer(request))

    @api.put("/blobs/<sha256>")
    def put(sha256: str) -> Response:
        if not _SHA256.fullmatch(sha256):
            raise MalformedPayload("the path ends in no SHA-256 of 64 lower-case hex digits")
        length = content_length(request)
        if length is None:
            raise LengthRequired("send Content-Length with a blob")
        if length > config.max_blob_bytes:
            raise PayloadTooLarge(f"the blob has {length} bytes, at most {config.max_blob_bytes}")
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
    _add_devices(api, devices)
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


def _add_devices(api: Blueprint, devices: Devices) -> None:
    @api.get("/devices/<device_id>")
    def look(device_id: str) -> Response:
        return render(devices.look(device_id))

    @api.post("/devices/<device_id>/revoke")
    def revoke(device_id: str) -> Response:
        return render(devices.revoke(device_id))

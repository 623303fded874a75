"""The devices' side of HTTP: parse, call, render."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Request, Response, request, send_file

from ..protocol.messages import Assignment, CheckIn, Enrolment, Report
from .access import Access
from .admission import Admission
from .delivery import Delivery, UploadHead
from .http import bearer, content_length, parse, raw_body, render, retry_after
from .witness import Witness

OCTETS = "application/octet-stream"


def blueprint(
    admission: Admission, delivery: Delivery, access: Access, witness: Witness
) -> Blueprint:
    """The routes of a device; docs/protocol.md, "Device"."""
    api = Blueprint("device_api", __name__)

    def device_id() -> str:
        return access.device_id(bearer(request))

    @api.post("/v1/devices")
    def enrol() -> Response:
        return render(admission.enrol(parse(request, Enrolment)), 201)

    @api.post("/v1/populations/<population>/check-ins")
    def check_in(population: str) -> Response:
        answer = admission.check_in(device_id(), population, parse(request, CheckIn))
        if isinstance(answer, Assignment):
            return render(answer, 201, {"Location": f"/v1/assignments/{answer.assignment_id}"})
        witness.rejected(answer)
        return render(answer, 200, {"Retry-After": retry_after(answer.retry.min_s)})

    @api.get("/v1/blobs/<sha256>")
    def download(sha256: str) -> Response:
        return _file(access.readable(bearer(request), sha256), sha256)

    @api.post("/v1/assignments/<assignment_id>/report")
    def report(assignment_id: str) -> Response:
        return render(delivery.report(device_id(), assignment_id, parse(request, Report)))

    @api.put("/v1/assignments/<assignment_id>/update")
    def upload(assignment_id: str) -> Response:
        device, head = device_id(), _head(request)
        with witness.upload(device, assignment_id):
            receipt, is_new = delivery.upload(device, assignment_id, head, raw_body(request))
        if is_new:
            witness.accepted(receipt)
        return render(receipt, 201 if is_new else 200)

    @api.delete("/v1/assignments/<assignment_id>")
    def abort(assignment_id: str) -> Response:
        delivery.abort(device_id(), assignment_id)
        return Response(status=204)

    @api.get("/v1/assignments/<assignment_id>")
    def fate(assignment_id: str) -> Response:
        return render(delivery.fate(device_id(), assignment_id))

    return api


def _file(path: Path, sha256: str) -> Response:
    answer = send_file(path, OCTETS, conditional=True, etag=sha256)
    answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return answer


def _head(request: Request) -> UploadHead:
    return UploadHead(
        media_type=request.mimetype,
        length=content_length(request),
        content_digest=request.headers.get("Content-Digest", ""),
    )

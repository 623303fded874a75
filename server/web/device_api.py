"""The devices' side of HTTP: parse, call, render."""

from __future__ import annotations

from flask import Blueprint, Request, Response, request

from ...protocol.messages import Assignment, CheckIn, Enrolment, Report
from ..taking_part.admission import Admission
from ..taking_part.direct_delivery import DirectDelivery
from ..taking_part.held import UploadHead
from ..trust.devices import Applicant, Devices
from ..trust.rates import network_of
from ..watch.witness import Witness
from .access import Access
from .http import (
    bearer,
    content_length,
    idempotency_key,
    optional_bearer,
    parse,
    raw_body,
    render,
    retry_after,
)


def blueprint(
    devices: Devices,
    admission: Admission,
    delivery: DirectDelivery,
    access: Access,
    witness: Witness,
) -> Blueprint:
    """The routes of a device; docs/protocol.md, "Device"."""
    api = Blueprint("device_api", __name__)
    _take_part(api, devices, admission, access, witness)
    _serve(api, delivery, access, witness)
    return api


def _take_part(
    api: Blueprint, devices: Devices, admission: Admission, access: Access, witness: Witness
) -> None:
    @api.post("/v1/devices")
    def enrol() -> Response:
        applicant = Applicant(
            key=idempotency_key(request),
            token=optional_bearer(request),
            network=network_of(request.remote_addr),
        )
        device, is_new = devices.enrol(parse(request, Enrolment), applicant)
        return render(device, 201 if is_new else 200)

    @api.post("/v1/populations/<population>/check-ins")
    def check_in(population: str) -> Response:
        device_id = access.device_id(bearer(request))
        answer = admission.check_in(
            device_id, population, parse(request, CheckIn), key=idempotency_key(request)
        )
        if isinstance(answer, Assignment):
            return render(answer, 201, {"Location": f"/v1/assignments/{answer.assignment_id}"})
        witness.rejected(answer)
        return render(answer, 200, {"Retry-After": retry_after(answer.retry.min_s)})


def _serve(api: Blueprint, delivery: DirectDelivery, access: Access, witness: Witness) -> None:
    def device_id() -> str:
        return access.device_id(bearer(request))

    @api.post("/v1/assignments/<assignment_id>/report")
    def report(assignment_id: str) -> Response:
        return render(delivery.report(device_id(), assignment_id, parse(request, Report)))

    @api.put("/v1/assignments/<assignment_id>/update")
    def upload(assignment_id: str) -> Response:
        device, head = access.uploader_id(bearer(request), assignment_id), _head(request)
        with witness.upload(device, assignment_id):
            receipt, is_new = delivery.upload(device, assignment_id, head, raw_body(request))
        if is_new:
            witness.accepted(receipt)
        return render(receipt, 201 if is_new else 200)

    @api.post("/v1/assignments/<assignment_id>/commit")
    def commit(assignment_id: str) -> Response:
        device = device_id()
        with witness.upload(device, assignment_id):
            receipt, is_new = delivery.commit(device, assignment_id)
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


def _head(request: Request) -> UploadHead:
    return UploadHead(
        media_type=request.mimetype,
        length=content_length(request),
        content_digest=request.headers.get("Content-Digest", ""),
    )

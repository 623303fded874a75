"""The operations of a device; docs/protocol.md, "Device"."""

from __future__ import annotations

from ....protocol import errors, messages, wire
from .operation import OCTETS, Access, Answer, Operation

_ROUND_ERRORS = (errors.RoundClosed, errors.ReportConflict, errors.AssignmentExpired)
_HELD_ERRORS = (errors.NotFound, errors.NotAssigned)

DEVICE = (
    Operation(
        method="POST",
        route="/v1/devices",
        name="enrol",
        summary="A device becomes known, or known anew.",
        access=Access.NONE,
        body=messages.Enrolment,
        headers={"Idempotency-Key": False, "Authorization": False},
        answers=(
            Answer(201, "the device and its token", messages.Device),
            Answer(200, "the same key again", messages.Device),
        ),
        problems=(
            errors.UnsupportedVersion,
            errors.Unauthenticated,
            errors.AttestationNeeded,
            errors.AttestationFailed,
            errors.DeviceRevoked,
            errors.KeyReused,
            errors.RateLimited,
        ),
    ),
    Operation(
        method="POST",
        route="/v1/populations/<population>/check-ins",
        name="check_in",
        summary="A device offers to serve.",
        access=Access.DEVICE,
        body=messages.CheckIn,
        headers={"Idempotency-Key": False},
        answers=(
            Answer(201, "a place in a round", messages.Assignment),
            Answer(200, "not now", messages.Rejection),
        ),
        problems=(
            errors.UnsupportedVersion,
            errors.NotFound,
            errors.AssignmentExpired,
            errors.RateLimited,
        ),
    ),
    Operation(
        method="GET",
        route="/v1/blobs/<sha256>",
        name="download",
        summary="A model, a manifest or a checkpoint.",
        access=Access.EITHER,
        headers={"Range": False, "If-None-Match": False},
        answers=(
            Answer(200, "the bytes", OCTETS),
            Answer(206, "a part of the bytes", OCTETS),
            Answer(304, "the bytes that the asker has"),
            Answer(307, "where the bytes are for some minutes"),
        ),
        problems=(errors.NotFound, errors.Gone, errors.RangeNotSatisfiable),
    ),
    Operation(
        method="POST",
        route="/v1/assignments/<assignment_id>/report",
        name="report",
        summary="A device announces how its training ended, or tells what it has measured.",
        access=Access.DEVICE,
        body=messages.Report,
        answers=(
            Answer(200, "where the delta goes", messages.UploadInstruction),
            Answer(200, "the place is given back, or the measurement taken", messages.Fate),
        ),
        problems=(*_HELD_ERRORS, *_ROUND_ERRORS, errors.ImplausibleReport),
    ),
    Operation(
        method="PUT",
        route="/v1/assignments/<assignment_id>/update",
        name="upload",
        summary="A device sends the delta it has announced.",
        access=Access.DEVICE,
        body=wire.MEDIA_TYPE,
        headers={"Content-Digest": True},
        answers=(
            Answer(201, "the delta counts", messages.Receipt),
            Answer(200, "it counted before", messages.Receipt),
        ),
        problems=(
            *_HELD_ERRORS,
            *_ROUND_ERRORS,
            errors.DigestMismatch,
            errors.LengthRequired,
            errors.UnsupportedMediaType,
            errors.SpecMismatch,
            errors.NonFiniteDelta,
            errors.ImplausibleReport,
            errors.InvalidEncoding,
        ),
    ),
    Operation(
        method="POST",
        route="/v1/assignments/<assignment_id>/commit",
        name="commit",
        summary="A device has put the delta it has announced where it was told to.",
        access=Access.DEVICE,
        answers=(
            Answer(201, "the delta counts", messages.Receipt),
            Answer(200, "it counted before", messages.Receipt),
        ),
        problems=(
            *_HELD_ERRORS,
            *_ROUND_ERRORS,
            errors.UploadMissing,
            errors.DigestMismatch,
            errors.SpecMismatch,
            errors.NonFiniteDelta,
            errors.ImplausibleReport,
            errors.InvalidEncoding,
        ),
    ),
    Operation(
        method="DELETE",
        route="/v1/assignments/<assignment_id>",
        name="abort",
        summary="A device gives its place back.",
        access=Access.DEVICE,
        answers=(Answer(204, "it holds no place"),),
    ),
    Operation(
        method="GET",
        route="/v1/assignments/<assignment_id>",
        name="fate",
        summary="Where an assignment stands.",
        access=Access.DEVICE,
        answers=(Answer(200, "its state", messages.Fate),),
        problems=_HELD_ERRORS,
    ),
)

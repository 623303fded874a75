"""Every error pocketfed raises, sorted by who must move next.

::

    PocketFedError                   str(error) is one sentence, safe to show a device
    ├─ ProtocolError                 the sender must change the message
    │  ├─ MalformedPayload      400
    │  │  ├─ DigestMismatch     400  the body is not the one that was announced
    │  │  └─ TruncatedBody      400  the body ended before its Content-Length
    │  ├─ UnsupportedVersion    400
    │  ├─ MethodNotAllowed      405
    │  ├─ NameTaken             409  another task has this name
    │  ├─ KeyReused             422  an Idempotency-Key came again with another message
    │  ├─ UploadMissing         409  nothing was put where the instruction said
    │  ├─ LengthRequired        411
    │  ├─ PayloadTooLarge       413
    │  ├─ UnsupportedMediaType  415
    │  ├─ RangeNotSatisfiable   416
    │  ├─ SpecMismatch          422  the weights are not of this model
    │  ├─ UnknownCodec          422  no encoding of deltas has this name
    │  ├─ InvalidEncoding       422  the body is not what its codec makes
    │  ├─ NonFiniteDelta        422
    │  └─ ImplausibleReport     422
    ├─ AccessError                   the sender may not do this
    │  ├─ Unauthenticated       401
    │  │  ├─ TokenExpired       401  enrol again with the old token, and go on as the same device
    │  │  └─ AttestationNeeded  401  enrol again with the answer to the ``challenge``
    │  ├─ AttestationFailed     403
    │  ├─ DeviceRevoked         403
    │  ├─ NotAssigned           403
    │  ├─ NotFound              404
    │  └─ Gone                  410  it was offered once, and was removed
    ├─ RoundError                    the message was fine, the round moved on: check in again
    │  ├─ RoundClosed           409
    │  ├─ ReportConflict        409
    │  └─ AssignmentExpired     410
    ├─ Unavailable              503  the receiver cannot answer now: try again later
    │  ├─ RateLimited           429  the sender asks too often
    │  └─ NoAnswer                   no answer came at all; made by the asking side
    ├─ ExportError                   the developer, offline
    │  ├─ UnsupportedLayer
    │  ├─ FlexRequired
    │  ├─ UninitialisedVariables
    │  ├─ ParityFailure
    │  └─ DamagedArtifact
    ├─ DataError                     a data set is missing or is not what it should be
    ├─ WorkerLost                    a process that trained for simulated phones is gone
    ├─ LostBlob                      bytes the server kept are gone or no longer what they were
    └─ ConfigError                   the operator, at start-up
       └─ HopelessRun                a simulation in which no phone can report any more

On the wire an error is a problem document with a ``code``: ``problems``.
"""

from __future__ import annotations

from typing import ClassVar


class PocketFedError(Exception):
    """Any error a caller of pocketfed can act on.

    ``code`` is stable and documented, ``status`` the HTTP status it travels under, and
    ``retryable`` claims that the same message may succeed later.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __reduce__(self) -> tuple[object, ...]:
        """Crosses to other processes, whatever arguments its kind is made with."""
        return _restored, (type(self), self.args, vars(self))


class ProtocolError(PocketFedError):
    """The message breaks the protocol; sending it again unchanged cannot help."""

    code = "protocol_error"
    status = 400


class MalformedPayload(ProtocolError):
    code = "malformed_payload"


class DigestMismatch(MalformedPayload):
    code = "digest_mismatch"


class TruncatedBody(MalformedPayload):
    code = "truncated_body"
    retryable = True


class UnsupportedVersion(ProtocolError):
    code = "unsupported_version"


class MethodNotAllowed(ProtocolError):
    code = "method_not_allowed"
    status = 405


class NameTaken(ProtocolError):
    code = "name_taken"
    status = 409


class KeyReused(ProtocolError):
    code = "key_reused"
    status = 422


class UploadMissing(ProtocolError):
    code = "upload_missing"
    status = 409


class LengthRequired(ProtocolError):
    code = "length_required"
    status = 411


class PayloadTooLarge(ProtocolError):
    code = "payload_too_large"
    status = 413


class UnsupportedMediaType(ProtocolError):
    code = "unsupported_media_type"
    status = 415


class RangeNotSatisfiable(ProtocolError):
    code = "range_not_satisfiable"
    status = 416


class SpecMismatch(ProtocolError):
    code = "spec_mismatch"
    status = 422


class UnknownCodec(ProtocolError):
    code = "unknown_codec"
    status = 422


class InvalidEncoding(ProtocolError):
    code = "invalid_encoding"
    status = 422


class NonFiniteDelta(ProtocolError):
    code = "non_finite_delta"
    status = 422


class ImplausibleReport(ProtocolError):
    code = "implausible_report"
    status = 422


class AccessError(PocketFedError):
    """The sender is unknown, or may not touch this."""

    code = "access_error"
    status = 403


class Unauthenticated(AccessError):
    code = "unauthenticated"
    status = 401


class TokenExpired(Unauthenticated):
    code = "token_expired"


class AttestationNeeded(Unauthenticated):
    """The server vouches for no device by itself; ``challenge`` is what must be attested."""

    code = "attestation_needed"

    def __init__(self, message: str, *, challenge: str = "") -> None:
        super().__init__(message)
        self.challenge = challenge


class AttestationFailed(AccessError):
    code = "attestation_failed"


class DeviceRevoked(AccessError):
    code = "device_revoked"


class NotAssigned(AccessError):
    code = "not_assigned"


class NotFound(AccessError):
    code = "not_found"
    status = 404


class Gone(AccessError):
    code = "gone"
    status = 410


class RoundError(PocketFedError):
    """The message was fine, but its round has moved on; the device checks in again."""

    code = "round_error"
    status = 409


class RoundClosed(RoundError):
    code = "round_closed"


class ReportConflict(RoundError):
    code = "report_conflict"


class AssignmentExpired(RoundError):
    code = "assignment_expired"
    status = 410


class Unavailable(PocketFedError):
    """The other side cannot answer now; nothing was acknowledged."""

    code = "unavailable"
    status = 503
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float = 60.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(Unavailable):
    code = "rate_limited"
    status = 429


class NoAnswer(Unavailable):
    """The request may or may not have arrived; sending it again is safe everywhere."""

    code = "no_answer"


class ExportError(PocketFedError):
    """A model cannot become, or an artifact no longer is, something a phone can train."""

    code = "export_error"


class UnsupportedLayer(ExportError):
    code = "unsupported_layer"


class FlexRequired(ExportError):
    code = "flex_required"


class UninitialisedVariables(ExportError):
    code = "uninitialised_variables"


class ParityFailure(ExportError):
    """The exported file does not take the steps Keras takes.

    ``max_error`` is the largest absolute difference of one weight or loss.
    """

    code = "parity_failure"

    def __init__(self, message: str, *, max_error: float) -> None:
        super().__init__(message)
        self.max_error = max_error


class DamagedArtifact(ExportError):
    code = "damaged_artifact"


class DataError(PocketFedError):
    """A data set cannot be had, or is not what its digest says."""

    code = "data_error"


class WorkerLost(PocketFedError):
    """A process that trained for simulated phones has ended without a result."""

    code = "worker_lost"


class LostBlob(PocketFedError):
    """Kept bytes cannot be read back under their digest; the operator restores them."""

    code = "lost_blob"


class ConfigError(PocketFedError):
    """A setting cannot be used: names the setting, the value and the reason."""

    code = "config_error"

    def __init__(self, setting: str, value: object, reason: str) -> None:
        super().__init__(f"{setting}={value!r}: {reason}")
        self.setting = setting


class HopelessRun(ConfigError):
    """Nothing but failures in a row: a simulation that cannot go on, often one that diverged."""

    code = "hopeless_run"


def first_line(error: object) -> str:
    """What an error of another library says, for a sentence of ours."""
    return str(error).strip().splitlines()[0]


def _restored(
    kind: type[PocketFedError], args: tuple[object, ...], fields: dict[str, object]
) -> PocketFedError:
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error

"""The device's side of the protocol: one method per step, no policy.

When to check in again, what to retry and what to give up is the phone's business.
"""

from __future__ import annotations

from ..protocol import wire
from ..protocol.errors import DigestMismatch
from ..protocol.messages import (
    Assignment,
    CheckIn,
    Device,
    Enrolment,
    Fate,
    Outcome,
    Receipt,
    Rejection,
    Report,
    Resource,
    UploadInstruction,
)
from .session import Session, Traffic, is_foreign


class DeviceClient:
    """Acts for one device; ``traffic`` counts what it has sent and received."""

    def __init__(self, session: Session, *, device: Device | None = None) -> None:
        self._session = session
        self.device = device
        self.traffic = Traffic()

    def enrol(self, enrolment: Enrolment, *, key: str | None = None) -> Device:
        """Becomes known to the server, or known anew; later calls carry the token it gave.

        With a random ``key`` of 16 to 200 characters a repeated call has the same answer.
        """
        answer = self._session.exchange(
            "POST",
            "/v1/devices",
            token=self._token,
            body=enrolment,
            headers=_marked(key),
            traffic=self.traffic,
        )
        self.device = Device.from_json(answer.content)
        return self.device

    def check_in(
        self, population: str, message: CheckIn, *, key: str | None = None
    ) -> Assignment | Rejection:
        """Offers to serve; being turned away is an answer, not an error."""
        answer = self._session.exchange(
            "POST",
            f"/v1/populations/{population}/check-ins",
            token=self._token,
            body=message,
            headers=_marked(key),
            traffic=self.traffic,
        )
        if answer.status_code == 201:
            return Assignment.from_json(answer.content)
        return Rejection.from_json(answer.content)

    def download(self, resource: Resource, *, known: bytes | None = None) -> bytes:
        """Fetches immutable bytes; raises DigestMismatch when they are not what was promised.

        ``known`` are bytes of which the digest is known to hold; equal ones need no hashing.
        """
        answer = self._session.exchange(
            "GET", resource.url, token=self._token, traffic=self.traffic
        )
        if answer.content != known and wire.sha256(answer.content) != resource.sha256:
            raise DigestMismatch(f"{resource.url} does not have SHA-256 {resource.sha256}")
        return answer.content

    def report(self, assignment_id: str, report: Report) -> UploadInstruction | Fate:
        """Tells the outcome; one that announces a body is answered with where to send it."""
        answer = self._session.exchange(
            "POST",
            f"/v1/assignments/{assignment_id}/report",
            token=self._token,
            body=report,
            traffic=self.traffic,
        )
        if report.outcome is Outcome.COMPLETED and report.sha256 is not None:
            return UploadInstruction.from_json(answer.content)
        return Fate.from_json(answer.content)

    def upload(
        self, instruction: UploadInstruction, body: bytes, *, sha256: str | None = None
    ) -> Receipt:
        """Sends the encoded delta; sending the same bytes again is harmless.

        ``sha256`` is the digest that was reported, so that it need not be computed again. Another
        host gets exactly the headers of the instruction, and the server is told after it.
        """
        headers = dict(instruction.headers)
        if not is_foreign(instruction.url):
            headers["Content-Type"] = wire.MEDIA_TYPE
            headers["Content-Digest"] = wire.content_digest(sha256 or wire.sha256(body))
        is_permitted = any(name.lower() == "authorization" for name in headers)
        answer = self._session.exchange(
            instruction.method,
            instruction.url,
            token=None if is_permitted else self._token,
            body=body,
            headers=headers,
            traffic=self.traffic,
        )
        if instruction.commit_url is not None:
            answer = self._session.exchange(
                "POST", instruction.commit_url, token=self._token, traffic=self.traffic
            )
        return Receipt.from_json(answer.content)

    def abort(self, assignment_id: str) -> None:
        """Gives a place back."""
        self._session.exchange(
            "DELETE", f"/v1/assignments/{assignment_id}", token=self._token, traffic=self.traffic
        )

    def fate(self, assignment_id: str) -> Fate:
        """Asks where an assignment stands, after an answer was lost."""
        answer = self._session.exchange(
            "GET", f"/v1/assignments/{assignment_id}", token=self._token, traffic=self.traffic
        )
        return Fate.from_json(answer.content)

    @property
    def _token(self) -> str | None:
        return self.device.token if self.device else None


def _marked(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}

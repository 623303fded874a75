"""The client of a simulated phone: connections break off, and manners may be bad.

Whatever it does wrong, it does over the protocol: what it sends are real requests.
"""

from __future__ import annotations

import contextlib
from collections import deque

from ... import __version__
from ...client import DeviceClient, Session
from ...client.session import is_foreign
from ...protocol import wire
from ...protocol.codecs import ENCODINGS
from ...protocol.errors import NoAnswer, PocketFedError
from ...protocol.messages import (
    Assignment,
    Capabilities,
    CheckIn,
    Device,
    Enrolment,
    Fate,
    Receipt,
    Rejection,
    Report,
    Resource,
    UploadInstruction,
)
from ...protocol.plan import RoundKind
from ..conditions.mischief import Mischief
from .traffic import Itemised

_CAPABILITIES = Capabilities(kinds=tuple(RoundKind), codecs=ENCODINGS)


class Board:
    """Where assignments are overheard: the latest ones, each with the device it is of."""

    def __init__(self) -> None:
        self._latest: deque[tuple[str, str]] = deque(maxlen=2)

    def post(self, device_id: str, assignment_id: str) -> None:
        if self._latest and self._latest[-1][0] == device_id:
            self._latest.pop()
        self._latest.append((device_id, assignment_id))

    def of_another(self, device_id: str) -> str | None:
        """The latest assignment of any other device."""
        for holder, assignment_id in reversed(self._latest):
            if holder != device_id:
                return assignment_id
        return None


class PhoneClient(DeviceClient):
    """Acts for one phone, and does the ``mischief`` that is done while sending."""

    def __init__(
        self,
        session: Session,
        *,
        device: Device | None = None,
        mischief: Mischief | None = None,
        board: Board | None = None,
    ) -> None:
        super().__init__(session, device=device)
        self.traffic: Itemised = Itemised()
        self._checkpoint = ""
        self._mischief = mischief
        self._board = board or Board()

    def introduce(self) -> None:
        """Enrols, as the device it has been where it was one."""
        self.enrol(Enrolment(client_version=__version__))

    def come(self, population: str, *, num_examples: int) -> Assignment | Rejection:
        """Checks in with all that a simulated phone can do."""
        message = CheckIn(
            client_version=__version__,
            capabilities=_CAPABILITIES,
            examples_bucket=_power_of_two(num_examples),
        )
        return self.check_in(population, message)

    def check_in(
        self, population: str, message: CheckIn, *, key: str | None = None
    ) -> Assignment | Rejection:
        answer = super().check_in(population, message, key=key)
        if isinstance(answer, Assignment):
            self._board.post(self._device_id, answer.assignment_id)
            self._checkpoint = answer.checkpoint.sha256
        return answer

    def download(self, resource: Resource, *, known: bytes | None = None) -> bytes:
        with self.traffic.downloading(is_checkpoint=resource.sha256 == self._checkpoint):
            return super().download(resource, known=known)

    def report(self, assignment_id: str, report: Report) -> UploadInstruction | Fate:
        if self._mischief is Mischief.STOLEN_PLACE:
            assignment_id = self._tried_to_take(assignment_id)
        if self._mischief is Mischief.DUPLICATE:
            super().report(assignment_id, report)
        return super().report(assignment_id, report)

    def upload(
        self, instruction: UploadInstruction, body: bytes, *, sha256: str | None = None
    ) -> Receipt:
        if self._mischief is Mischief.CORRUPT:
            return self._put(instruction, _damaged(body), announced=body)
        if self._mischief is Mischief.TRUNCATED:
            return self.upload_part(instruction, body, share=0.5)
        with self.traffic.updating():
            if self._mischief is Mischief.DUPLICATE:
                super().upload(instruction, body, sha256=sha256)
            return super().upload(instruction, body, sha256=sha256)

    def upload_part(self, instruction: UploadInstruction, body: bytes, *, share: float) -> Receipt:
        """Begins an upload that breaks off: the head announces all of it, a share of it follows.

        Raises what the server makes of it, or NoAnswer. Nothing is sent to another host: its
        connection is lost before.
        """
        return self._put(instruction, body[: int(len(body) * share)], announced=body)

    def _put(self, instruction: UploadInstruction, sent: bytes, *, announced: bytes) -> Receipt:
        if is_foreign(instruction.url):
            raise NoAnswer("the connection to the store was lost")
        headers = {
            **instruction.headers,
            "Content-Type": wire.MEDIA_TYPE,
            "Content-Digest": wire.content_digest(wire.sha256(announced)),
            "Content-Length": str(len(announced)),
        }
        is_permitted = any(name.lower() == "authorization" for name in headers)
        with self.traffic.updating():
            answer = self._session.exchange(
                instruction.method,
                instruction.url,
                token=None if is_permitted else self._token,
                body=sent,
                headers=headers,
                traffic=self.traffic,
            )
        return Receipt.from_json(answer.content)

    def _tried_to_take(self, assignment_id: str) -> str:
        """Puts rubbish into another phone's place, and goes on to report under it."""
        other = self._board.of_another(self._device_id)
        if other is None:
            return assignment_id
        place = UploadInstruction(url=f"/v1/assignments/{other}/update", upload_within_s=0.0)
        with contextlib.suppress(PocketFedError):
            self._put(place, b"rubbish", announced=b"rubbish")
        return other

    @property
    def _device_id(self) -> str:
        return self.device.device_id if self.device else ""


def _power_of_two(count: int) -> int:
    """``count`` rounded down to a power of two; 0 stays 0."""
    return 1 << count.bit_length() >> 1


def _damaged(body: bytes) -> bytes:
    """The same length with the last byte turned over."""
    return body[:-1] + bytes([body[-1] ^ 0xFF])

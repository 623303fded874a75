"""Devices: how one becomes known, stays known and is sent away for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...protocol import wire
from ...protocol.admin import DeviceSummary
from ...protocol.errors import (
    AttestationFailed,
    AttestationNeeded,
    DeviceRevoked,
    KeyReused,
    MalformedPayload,
    NotFound,
    Unauthenticated,
)
from ...protocol.messages import Device, Enrolment
from ..store import DeviceRow, Store, Writing
from ..taking_part.admission import require_version
from ..web.access import token_digest
from .attestation import Verifier
from .limits import Limit
from .rates import require_rate
from .seals import Seals

MAX_VERSION_LENGTH = 100
MIN_KEY_LENGTH = 16
MAX_KEY_LENGTH = 200


@dataclass(frozen=True, kw_only=True)
class Applicant:
    """Who enrols: its Idempotency-Key, its old token, and the network it comes from, if known."""

    key: str | None = None
    token: str | None = None
    network: str = ""


@dataclass(frozen=True, kw_only=True)
class Devices:
    """Gives devices their tokens; only digests of tokens are kept.

    ``verifier`` None asks for no attestation. A token holds for ``token_ttl_s``.
    """

    store: Store
    clock: Callable[[], float]
    entropy: Callable[[int], bytes]
    seals: Seals
    verifier: Verifier | None
    token_ttl_s: float
    enrolments: Limit

    def enrol(self, enrolment: Enrolment, applicant: Applicant) -> tuple[Device, bool]:
        """Makes a device known, or one with an old token known anew; the flag claims it is new.

        The same key with the same message gives the same answer again. Raises KeyReused for
        another message, AttestationNeeded with a challenge, AttestationFailed, RateLimited,
        Unauthenticated for an unknown old token, DeviceRevoked.
        """
        require_version(enrolment.protocol_version)
        _require_secret(applicant.key)
        now = self.clock()
        with self.store.write() as tx:
            known = tx.device_with_key(token_digest(applicant.key)) if applicant.key else None
            if known is not None:
                _require_same(known, enrolment)
                return self._shown(known, self._token(applicant.key), now), False
            require_rate(tx, f"enrol {applicant.network}", self.enrolments, now=now)
            old = _of_token(tx, applicant.token)
            token = self._token(applicant.key)
            device = self._vouched(tx, self._row(enrolment, applicant, old, token, now), enrolment)
            if old is not None:
                tx.replace_device(device)
            elif tx.device(device.id) is not None:
                raise KeyReused("this device has enrolled anew since; use that token")
            else:
                tx.add_device(device)
            return self._shown(device, token, now), True

    def revoke(self, device_id: str) -> DeviceSummary:
        """Ends a device's token for good; it cannot enrol with it again."""
        with self.store.write() as tx:
            device = _known(tx.device(device_id), device_id)
            if device.revoked_at is None:
                device = replace(device, revoked_at=self.clock())
                tx.replace_device(device)
            return _summary(device)

    def look(self, device_id: str) -> DeviceSummary:
        """What is known of one device; raises NotFound."""
        with self.store.read() as view:
            return _summary(_known(view.device(device_id), device_id))

    def _token(self, key: str | None) -> str:
        """With a key, the same token again: so that an answer can be repeated and is not kept."""
        return self.entropy(32).hex() if key is None else self.seals.derive("token", key)

    def _id(self, key: str | None) -> str:
        return self.entropy(16).hex() if key is None else self.seals.derive("device", key)[:32]

    def _row(
        self,
        enrolment: Enrolment,
        applicant: Applicant,
        old: DeviceRow | None,
        token: str,
        now: float,
    ) -> DeviceRow:
        return DeviceRow(
            id=old.id if old else self._id(applicant.key),
            token_sha256=token_digest(token),
            client_version=enrolment.client_version[:MAX_VERSION_LENGTH],
            enrolled_at=old.enrolled_at if old else now,
            expires_at=now + self.token_ttl_s,
            key_sha256=token_digest(applicant.key) if applicant.key else None,
            enrolment_sha256=wire.sha256(enrolment.to_json()),
        )

    def _vouched(self, tx: Writing, device: DeviceRow, enrolment: Enrolment) -> DeviceRow:
        """The device with what vouches for it; raises AttestationNeeded or AttestationFailed."""
        if self.verifier is None:
            return device
        evidence, now = enrolment.attestation, self.clock()
        if evidence is None:
            challenge = self.seals.challenge(salt=self.entropy(8).hex(), now=now)
            text = (
                f"this server asks for {self.verifier.kind}; answer the challenge and enrol again"
            )
            raise AttestationNeeded(text, challenge=challenge)
        if evidence.kind != self.verifier.kind:
            text = f"got an attestation {evidence.kind[:32]!r}, expected {self.verifier.kind!r}"
            raise AttestationFailed(text)
        self.seals.require_challenge(evidence.challenge, now=now)
        digest = token_digest(evidence.challenge)
        if tx.is_answered(digest):
            raise AttestationFailed("the challenge was answered before; ask for a new one")
        self.verifier.verify(evidence.token, challenge=evidence.challenge, now=now)
        return replace(device, attested_by=evidence.kind, challenge_sha256=digest)

    def _shown(self, device: DeviceRow, token: str, now: float) -> Device:
        left_s = None if device.expires_at is None else max(0.0, device.expires_at - now)
        return Device(device_id=device.id, token=token, expires_in_s=left_s)


def _require_secret(key: str | None) -> None:
    """A key that can be guessed would give its guesser the token."""
    if key is not None and not MIN_KEY_LENGTH <= len(key) <= MAX_KEY_LENGTH:
        raise MalformedPayload(
            f"the Idempotency-Key has {len(key)} characters, expected {MIN_KEY_LENGTH} to "
            f"{MAX_KEY_LENGTH} random ones"
        )


def _require_same(known: DeviceRow, enrolment: Enrolment) -> None:
    if known.revoked_at is not None:
        raise DeviceRevoked("this device was sent away; it cannot take part")
    if known.enrolment_sha256 != wire.sha256(enrolment.to_json()):
        raise KeyReused("this Idempotency-Key came with another enrolment; draw a new one")


def _of_token(tx: Writing, token: str | None) -> DeviceRow | None:
    """The device that enrols again; its old token may have expired, but not been revoked."""
    if token is None:
        return None
    known = tx.device_with_token(token_digest(token))
    if known is None:
        raise Unauthenticated("the old token belongs to no device; enrol without it")
    if known.revoked_at is not None:
        raise DeviceRevoked("this device was sent away; it cannot take part")
    return known


def _known(device: DeviceRow | None, device_id: str) -> DeviceRow:
    if device is None:
        raise NotFound(f"no device {device_id[:64]!r}")
    return device


def _summary(device: DeviceRow) -> DeviceSummary:
    return DeviceSummary(
        device_id=device.id,
        client_version=device.client_version,
        enrolled_at=device.enrolled_at,
        expires_at=device.expires_at,
        revoked_at=device.revoked_at,
        attested_by=device.attested_by,
    )

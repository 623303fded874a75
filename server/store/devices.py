"""Devices: who is known, by the digest of its token, and the key the server signs with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from .connected import Connected, Historian
from .prepared import Prepared
from .tables import devices, secrets

_DEVICE = Prepared(select(devices).where(devices.c.id == bindparam("device_id")))
_WITH_TOKEN = Prepared(select(devices).where(devices.c.token_sha256 == bindparam("token_sha256")))
_WITH_KEY = Prepared(select(devices).where(devices.c.key_sha256 == bindparam("key_sha256")))
_ANSWERED = Prepared(
    select(devices.c.id).where(devices.c.challenge_sha256 == bindparam("challenge_sha256"))
)


@dataclass(frozen=True, kw_only=True)
class DeviceRow:
    """What is kept of a device: digests, and when it came and went."""

    id: str
    token_sha256: str
    client_version: str
    enrolled_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    attested_by: str | None = None
    key_sha256: str | None = None
    enrolment_sha256: str | None = None
    challenge_sha256: str | None = None


class DeviceQuestions(Connected):
    def device(self, device_id: str) -> DeviceRow | None:
        return _device(self._one(_DEVICE, device_id=device_id))

    def device_with_token(self, token_sha256: str) -> DeviceRow | None:
        return _device(self._one(_WITH_TOKEN, token_sha256=token_sha256))

    def device_with_key(self, key_sha256: str) -> DeviceRow | None:
        """Who has enrolled with this Idempotency-Key."""
        return _device(self._one(_WITH_KEY, key_sha256=key_sha256))

    def is_answered(self, challenge_sha256: str) -> bool:
        """Whether a device has enrolled with the answer to this challenge."""
        return self._one(_ANSWERED, challenge_sha256=challenge_sha256) is not None


class DeviceChanges(DeviceQuestions, Historian):
    def add_device(self, device: DeviceRow) -> None:
        self._run(insert(devices), **asdict(device))

    def replace_device(self, device: DeviceRow) -> None:
        """Keeps what a device has become; its id stays."""
        self._run(update(devices).where(devices.c.id == device.id).values(asdict(device)))

    def signing_key(self, fresh: str) -> str:
        """The key all processes sign with: the one that is kept, or ``fresh`` the first time."""
        kept = self._one(select(secrets.c.value).where(secrets.c.name == "signing"))
        if kept is not None:
            return str(kept.value)
        self._run(insert(secrets).values(name="signing", value=fresh))
        return fresh


def _device(row: Any | None) -> DeviceRow | None:
    return None if row is None else DeviceRow(**row._asdict())

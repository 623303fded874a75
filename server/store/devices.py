"""Devices: who is known, by the digest of its token."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select

from ..tables import devices
from .connected import Connected, Historian

_DEVICE_WITH_TOKEN = select(devices.c.id, devices.c.token_sha256).where(
    devices.c.token_sha256 == bindparam("token_sha256")
)


class DeviceQuestions(Connected):
    def device_with_token(self, token_sha256: str) -> tuple[str, str] | None:
        """(device id, digest of its token)."""
        row = self._one(_DEVICE_WITH_TOKEN, token_sha256=token_sha256)
        return (row.id, row.token_sha256) if row else None


class DeviceChanges(DeviceQuestions, Historian):
    def add_device(
        self, *, device_id: str, token_sha256: str, client_version: str, now: float
    ) -> None:
        self._run(
            insert(devices).values(
                id=device_id,
                token_sha256=token_sha256,
                client_version=client_version,
                enrolled_at=now,
            )
        )

"""Whose a token is, and which bytes its holder may read."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from ...protocol.errors import DeviceRevoked, NotFound, TokenExpired, Unauthenticated
from ..store import Store
from ..trust.seals import Seals


@dataclass(frozen=True, kw_only=True)
class Access:
    """Knows devices and the operator by the digests of their tokens."""

    store: Store
    seals: Seals
    clock: Callable[[], float]
    admin_token: str

    def device_id(self, token: str) -> str:
        """The device this token belongs to; raises Unauthenticated, TokenExpired, DeviceRevoked."""
        with self.store.glance() as view:
            known = view.device_with_token(token_digest(token))
        if known is None:
            raise Unauthenticated("the token belongs to no device; enrol first")
        if known.revoked_at is not None:
            raise DeviceRevoked("this device was sent away; it cannot take part")
        if known.expires_at is not None and self.clock() >= known.expires_at:
            raise TokenExpired("the token has expired; enrol again with it as the bearer")
        return known.id

    def uploader_id(self, token: str, assignment_id: str) -> str:
        """The device on whose behalf an update comes: by its token, or by the upload's own."""
        if not self.seals.may_upload(token, assignment_id):
            return self.device_id(token)
        with self.store.glance() as view:
            held = view.assignment(assignment_id)
        if held is None:
            raise NotFound(f"no assignment {assignment_id[:64]!r}; check in again")
        return held.device_id

    def require_operator(self, token: str) -> None:
        """Raises Unauthenticated unless this is the operator's token."""
        if not self._is_operator(token):
            raise Unauthenticated("the token is not the operator's; take it from the server")

    def require_readable(self, token: str, sha256: str) -> None:
        """Raises NotFound unless a task offers these bytes; a device's update is never offered."""
        if not self._is_operator(token):
            self.device_id(token)
        with self.store.glance() as view:
            if not view.is_downloadable(sha256):
                raise NotFound("no task offers these bytes; check in again")

    def _is_operator(self, token: str) -> bool:
        return hmac.compare_digest(token_digest(self.admin_token), token_digest(token))


def token_digest(token: str) -> str:
    """What is kept and compared instead of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()

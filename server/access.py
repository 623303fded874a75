"""Whose a token is, and which bytes its holder may read."""

from __future__ import annotations

import hashlib
import hmac

from ..protocol.errors import NotFound, Unauthenticated
from .store import Store


class Access:
    """Knows devices and the operator by the digests of their tokens."""

    def __init__(self, store: Store, *, admin_token: str) -> None:
        self._store = store
        self._admin_digest = token_digest(admin_token)

    def device_id(self, token: str) -> str:
        """The device this token belongs to; raises Unauthenticated."""
        digest = token_digest(token)
        with self._store.read() as view:
            known = view.device_with_token(digest)
        if known is None or not hmac.compare_digest(known[1], digest):
            raise Unauthenticated("the token belongs to no device; enrol first")
        return known[0]

    def require_operator(self, token: str) -> None:
        """Raises Unauthenticated unless this is the operator's token."""
        if not self._is_operator(token):
            raise Unauthenticated("the token is not the operator's; take it from the server")

    def require_readable(self, token: str, sha256: str) -> None:
        """Raises NotFound unless a task offers these bytes; a device's update is never offered."""
        if not self._is_operator(token):
            self.device_id(token)
        with self._store.read() as view:
            if not view.is_downloadable(sha256):
                raise NotFound("no task offers these bytes; check in again")

    def _is_operator(self, token: str) -> bool:
        return hmac.compare_digest(self._admin_digest, token_digest(token))


def token_digest(token: str) -> str:
    """What is kept and compared instead of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()

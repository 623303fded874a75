"""The operator's log-in of a browser: a signed cookie that says until when, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

LIFETIME_S = 12 * 3600
_PURPOSE = b"pocketfed operator's page"


class Login:
    """Issues and checks sessions; a new token of the operator ends them all."""

    def __init__(self, admin_token: str, *, clock: Callable[[], float]) -> None:
        self.admin_token = admin_token
        self._key = hmac.digest(admin_token.encode(), _PURPOSE, "sha256")
        self._clock = clock

    def issue(self) -> str:
        """A session that begins now."""
        return self._signed(int(self._clock()) + LIFETIME_S)

    def is_valid(self, session: str) -> bool:
        """Whether this server issued the session and it has not ended."""
        until, _, _ = session.partition(".")
        is_number = until.isascii() and until.isdigit() and len(until) <= 12
        if not is_number or int(until) <= self._clock():
            return False
        return hmac.compare_digest(self._signed(int(until)).encode(), session.encode())

    def _signed(self, until: int) -> str:
        return f"{until}.{hmac.new(self._key, str(until).encode(), hashlib.sha256).hexdigest()}"

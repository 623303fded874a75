"""Seals: proofs that the server itself has said something before.

Each is an HMAC under the server's own key (RFC 2104, SHA-256), so that nothing has to be stored and
every process of one server accepts what another has issued.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from ...protocol.errors import AttestationFailed

CHALLENGE_TTL_S = 600.0


@dataclass(frozen=True)
class Seals:
    """What is issued and checked under one ``key`` of 32 bytes."""

    key: bytes

    def upload(self, assignment_id: str) -> str:
        """The right to send the update of one assignment, and nothing else."""
        return self._seal("upload", assignment_id)

    def may_upload(self, token: str, assignment_id: str) -> bool:
        """Whether a token is the upload capability of this assignment."""
        return hmac.compare_digest(token.encode(), self.upload(assignment_id).encode())

    def derive(self, purpose: str, text: str) -> str:
        """64 hex digits that whoever does not know the key cannot guess."""
        return self._seal(purpose, text)

    def challenge(self, *, salt: str, now: float) -> str:
        """A challenge that an attestation must answer within ten minutes."""
        said = f"{now + CHALLENGE_TTL_S:.0f}.{salt}"
        return f"{said}.{self._seal('challenge', said)}"

    def require_challenge(self, challenge: str, *, now: float) -> None:
        """Raises AttestationFailed unless this server issued the challenge and it still holds."""
        said, _, seal = challenge.rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._seal("challenge", said).encode()):
            raise AttestationFailed("the challenge is not one of this server; ask for a new one")
        if now >= float(said.partition(".")[0]):
            raise AttestationFailed("the challenge is older than ten minutes; ask for a new one")

    def _seal(self, purpose: str, text: str) -> str:
        return hmac.new(self.key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()

"""Attestation: what vouches for a device before it gets a token.

A ``Verifier`` is asked once per enrolment. Google's is in ``play_integrity``; another service is
another class with the same method, handed to ``create_app``.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Protocol


class Verifier(Protocol):
    """Judges the evidence of a device; ``kind`` is the name it travels under."""

    @property
    def kind(self) -> str: ...

    def verify(self, token: str, *, challenge: str, now: float) -> None:
        """Raises AttestationFailed unless the token vouches for the answer to ``challenge``."""


def nonce(challenge: str) -> str:
    """What a device asks its attestation service to sign: the challenge's SHA-256 in Base64url."""
    digest = hashlib.sha256(challenge.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

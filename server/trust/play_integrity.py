"""Play Integrity: Google's servers vouch for the app and the device it runs on."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import msgspec
from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

from ...protocol.errors import AttestationFailed, ConfigError, first_line
from .attestation import nonce

MAX_AGE_S = 600.0
_ENCRYPTION = ["A256KW", "A256GCM"]
_SIGNATURE = ["ES256"]


class _Request(msgspec.Struct, rename="camel"):
    request_package_name: str
    nonce: str
    timestamp_millis: str


class _App(msgspec.Struct, rename="camel"):
    app_recognition_verdict: str


class _DeviceVerdict(msgspec.Struct, rename="camel"):
    device_recognition_verdict: list[str] = []


class _Payload(msgspec.Struct, rename="camel"):
    request_details: _Request
    app_integrity: _App
    device_integrity: _DeviceVerdict


@dataclass(frozen=True, kw_only=True)
class PlayIntegrity:
    """Reads the verdicts of classic Play Integrity requests with the app's own two keys.

    A token is a JWE (A256KW, A256GCM) around a JWS (ES256); both keys come from the Play Console
    ("manage and download my response encryption keys"). The nonce is ``nonce(challenge)``.
    """

    package: str
    decryption_key: OctKey
    verification_key: ECKey
    kind: str = "play_integrity"

    @classmethod
    def from_text(
        cls, *, package: str, decryption_key: str, verification_key: str
    ) -> PlayIntegrity:
        """Takes the keys as the console shows them, in Base64; raises ConfigError."""
        name = "play_integrity_decryption_key"
        try:
            decryption = OctKey.import_key(base64.b64decode(decryption_key, validate=True))
            name = "play_integrity_verification_key"
            der = base64.b64decode(verification_key, validate=True)
            verification = ECKey.import_key(_pem(der))
        except (ValueError, JoseError) as error:
            raise ConfigError(name, "...", f"not a key in Base64: {first_line(error)}") from error
        if not package:
            raise ConfigError("play_integrity_package", package, "expected the app's package name")
        return cls(package=package, decryption_key=decryption, verification_key=verification)

    def verify(self, token: str, *, challenge: str, now: float) -> None:
        """The package, the nonce, the age, and both verdicts must be as they should."""
        payload = self._open(token)
        request = payload.request_details
        _require(request.request_package_name == self.package, "another app's package name")
        _require(request.nonce == nonce(challenge), "a nonce that answers another challenge")
        _require(_is_recent(request.timestamp_millis, now), "a time more than ten minutes off")
        verdict = payload.app_integrity.app_recognition_verdict
        _require(verdict == "PLAY_RECOGNIZED", f"the app's verdict {verdict!r}")
        verdicts = payload.device_integrity.device_recognition_verdict
        _require("MEETS_DEVICE_INTEGRITY" in verdicts, f"the device's verdicts {verdicts!r}")

    def _open(self, token: str) -> _Payload:
        try:
            sealed = jwe.decrypt_compact(token, self.decryption_key, algorithms=_ENCRYPTION)
            signed = jws.deserialize_compact(
                sealed.plaintext or b"", self.verification_key, algorithms=_SIGNATURE
            )
            return msgspec.json.decode(signed.payload, type=_Payload)
        except (JoseError, ValueError) as error:
            reason = f"the attestation cannot be read: {first_line(error)}; ask for a new one"
            raise AttestationFailed(reason) from error


def _pem(der: bytes) -> bytes:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n".encode()


def _is_recent(millis: str, now: float) -> bool:
    is_number = millis.isascii() and millis.isdigit() and len(millis) <= 15
    return is_number and abs(int(millis) / 1000 - now) <= MAX_AGE_S


def _require(holds: bool, got: str) -> None:
    if not holds:
        raise AttestationFailed(f"the attestation carries {got}; this device cannot take part")

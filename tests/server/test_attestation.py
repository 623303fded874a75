"""Attestation: Play Integrity tokens as Google makes them, recorded with keys of these tests."""

import base64
import json
from typing import Any

import pytest
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey
from pocketfed.client import DeviceClient
from pocketfed.protocol.errors import AttestationFailed, AttestationNeeded, ConfigError
from pocketfed.protocol.messages import Attestation, Enrolment
from pocketfed.server.trust.attestation import nonce
from pocketfed.server.trust.play_integrity import PlayIntegrity

PACKAGE = "org.example.keyboard"
SEALING = OctKey.import_key(bytes(range(32)))
SIGNING = ECKey.generate_key("P-256")
ALGORITHMS = ["A256KW", "A256GCM", "ES256"]


def console_key(key: ECKey) -> str:
    """A public key as the Play Console shows it."""
    lines = key.as_pem(private=False).decode().splitlines()
    return "".join(line for line in lines if "-----" not in line)


@pytest.fixture
def guarded(rehearse):
    return rehearse(
        attestation="play_integrity",
        play_integrity_package=PACKAGE,
        play_integrity_decryption_key=base64.b64encode(bytes(range(32))).decode(),
        play_integrity_verification_key=console_key(SIGNING),
    )


def payload(challenge: str, *, now: float, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "package": PACKAGE,
        "nonce": nonce(challenge),
        "at": now,
        "app": "PLAY_RECOGNIZED",
        "device": ["MEETS_DEVICE_INTEGRITY", "MEETS_BASIC_INTEGRITY"],
        **changes,
    }
    return {
        "requestDetails": {
            "requestPackageName": fields["package"],
            "nonce": fields["nonce"],
            "timestampMillis": str(int(fields["at"] * 1000)),
        },
        "appIntegrity": {"appRecognitionVerdict": fields["app"], "versionCode": "42"},
        "deviceIntegrity": {"deviceRecognitionVerdict": fields["device"]},
        "accountDetails": {"appLicensingVerdict": "LICENSED"},
    }


def token(said: dict[str, Any], *, signing: ECKey = SIGNING, sealing: OctKey = SEALING) -> str:
    signed = jws.serialize_compact({"alg": "ES256"}, json.dumps(said), signing, ALGORITHMS)
    head = {"alg": "A256KW", "enc": "A256GCM"}
    return jwe.encrypt_compact(head, signed, sealing, ALGORITHMS)


def challenge_of(server) -> str:
    with pytest.raises(AttestationNeeded) as caught:
        DeviceClient(server.session()).enrol(Enrolment(client_version="1"))
    return caught.value.challenge


def enrol(server, challenge: str, evidence: str, *, kind: str = "play_integrity") -> Any:
    vouched = Attestation(kind=kind, token=evidence, challenge=challenge)
    enrolment = Enrolment(client_version="1", attestation=vouched)
    return DeviceClient(server.session()).enrol(enrolment)


def test_a_device_that_answers_its_challenge_is_enrolled(guarded) -> None:
    challenge = challenge_of(guarded)
    device = enrol(guarded, challenge, token(payload(challenge, now=guarded.clock.now)))
    assert guarded.admin.device(device.device_id).attested_by == "play_integrity"


def test_a_server_that_asks_for_nothing_ignores_an_attestation(server) -> None:
    assert enrol(server, "any", "any").device_id


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"package": "org.example.evil"}, "package"),
        ({"nonce": nonce("another")}, "challenge"),
        ({"at": 0.0}, "ten minutes"),
        ({"app": "UNRECOGNIZED_VERSION"}, "UNRECOGNIZED_VERSION"),
        ({"device": []}, "verdicts"),
    ],
)
def test_a_verdict_that_is_not_good_is_refused(guarded, changes, words) -> None:
    challenge = challenge_of(guarded)
    said = payload(challenge, now=guarded.clock.now, **changes)
    with pytest.raises(AttestationFailed, match=words):
        enrol(guarded, challenge, token(said))
    assert guarded.rows("devices") == []


def test_a_token_under_a_foreign_key_is_refused(guarded) -> None:
    challenge = challenge_of(guarded)
    said = payload(challenge, now=guarded.clock.now)
    for forged in (
        token(said, signing=ECKey.generate_key("P-256")),
        token(said, sealing=OctKey.import_key(bytes(32))),
        "no.token.at.all",
        "",
    ):
        with pytest.raises(AttestationFailed, match="cannot be read"):
            enrol(guarded, challenge, forged)


def test_an_unsigned_token_is_refused(guarded) -> None:
    challenge = challenge_of(guarded)
    body = json.dumps(payload(challenge, now=guarded.clock.now)).encode()
    parts = [
        base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (b'{"alg":"none"}', body)
    ]
    sealed = jwe.encrypt_compact(
        {"alg": "A256KW", "enc": "A256GCM"}, ".".join([*parts, ""]), SEALING, ALGORITHMS
    )
    with pytest.raises(AttestationFailed, match="cannot be read"):
        enrol(guarded, challenge, sealed)


def test_a_payload_without_its_verdicts_is_refused(guarded) -> None:
    challenge = challenge_of(guarded)
    said = payload(challenge, now=guarded.clock.now)
    del said["appIntegrity"]
    with pytest.raises(AttestationFailed, match="cannot be read"):
        enrol(guarded, challenge, token(said))


def test_a_challenge_is_answered_once(guarded) -> None:
    challenge = challenge_of(guarded)
    evidence = token(payload(challenge, now=guarded.clock.now))
    enrol(guarded, challenge, evidence)
    with pytest.raises(AttestationFailed, match="before"):
        enrol(guarded, challenge, evidence)


def test_a_challenge_holds_for_ten_minutes(guarded) -> None:
    challenge = challenge_of(guarded)
    guarded.clock.wait(601.0)
    with pytest.raises(AttestationFailed, match="older"):
        enrol(guarded, challenge, token(payload(challenge, now=guarded.clock.now)))


@pytest.mark.parametrize("forged", ["", ".", "9999999999.x.y", "1e99.0.0", "é"])
def test_a_challenge_of_nobody_is_refused(guarded, forged: str) -> None:
    with pytest.raises(AttestationFailed, match="not one of this server"):
        enrol(guarded, forged, token(payload(forged, now=guarded.clock.now)))


def test_another_kind_of_attestation_is_refused(guarded) -> None:
    with pytest.raises(AttestationFailed, match="expected 'play_integrity'"):
        enrol(guarded, challenge_of(guarded), "token", kind="other")


def test_a_key_that_is_none_is_a_setting_that_cannot_be(rehearse) -> None:
    with pytest.raises(ConfigError, match="play_integrity_verification_key"):
        PlayIntegrity.from_text(
            package=PACKAGE,
            decryption_key=base64.b64encode(bytes(32)).decode(),
            verification_key="AAAA",
        )


def test_a_verifier_of_ones_own_takes_the_place_of_the_built_in(guarded) -> None:
    class Nobody:
        kind = "nobody"

        def verify(self, token: str, *, challenge: str, now: float) -> None:
            raise AttestationFailed("nobody passes")

    guarded.stop()
    guarded.verifier = Nobody()
    guarded.start()
    with pytest.raises(AttestationFailed, match="nobody passes"):
        enrol(guarded, challenge_of(guarded), "token", kind="nobody")

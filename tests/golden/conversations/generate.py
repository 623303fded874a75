"""Makes the golden conversations; run it with Python after the protocol has changed.

Each file is a ``Tape`` of one device. It has 12 examples, learns the same every time, and asks as
docs/protocol.md says; what others do meanwhile is not on the tape. The server's code answers, on a
clock that stands still, so the same code makes the same files.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from moto.server import ThreadedMotoServer
from pocketfed.protocol import wire
from pocketfed.protocol.errors import AttestationFailed
from pocketfed.protocol.messages import (
    Attestation,
    Capabilities,
    CheckIn,
    Enrolment,
    Outcome,
    Report,
)
from pocketfed.protocol.plan import EvaluationSettings
from pocketfed.server.trust.attestation import nonce

FOLDER = Path(__file__).parent
BUCKET = "phones"
_VALUE = 0.5
_EXAMPLES = 12
_OFFER = CheckIn(
    client_version="1",
    capabilities=Capabilities(kinds=("train", "evaluate"), codecs=("float32",), max_bytes=100_000),
    examples_bucket=8,
)


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_rehearsals = _load("rehearsals", FOLDER.parents[1] / "server" / "conftest.py")
Tape = _load("tape", FOLDER / "tape.py").Tape


class Device:
    """Asks a server as docs/protocol.md says, one method per step."""

    def __init__(self, server: Any, tape: Any) -> None:
        self.body = bytes(server.body(_VALUE))
        self._tape = tape
        self._token = ""
        self._keys = 0
        self._held: set[str] = set()

    def enrol(self, attestation: Attestation | None = None) -> dict[str, Any]:
        message = Enrolment(client_version="1", attestation=attestation)
        said = self._post("/v1/devices", message, **self._fresh_key())
        self._token = said.get("token", self._token)
        return said

    def check_in(self, *, again: bool = False) -> dict[str, Any]:
        """Offers to serve, under the key of before if it is ``again``."""
        key = {"Idempotency-Key": self._key} if again else self._fresh_key()
        return self._post("/v1/populations/phones/check-ins", _OFFER, **key)

    def download(self, place: dict[str, Any], *, cut: bool = False) -> None:
        """Fetches what it does not hold; with ``cut`` the first of it in two parts."""
        for resource in (place["model"], place["manifest"], place["checkpoint"]):
            if resource["sha256"] not in self._held:
                self._fetch(resource, cut=cut)
                cut = False
            self._held.add(resource["sha256"])

    def _fetch(self, resource: dict[str, Any], *, cut: bool) -> None:
        if cut:
            self._get(resource["url"], {})
            self._tape.spoil("cut")
        middle = {
            "Range": f"bytes={resource['bytes'] // 2}-",
            "If-Range": f'"{resource["sha256"]}"',
        }
        self._get(resource["url"], middle if cut else {})

    def _get(self, url: str, middle: dict[str, str]) -> None:
        """Asks the server, and the store where the server leads there: without what is its own."""
        own = {"Authorization": f"Bearer {self._token}"}
        answer = self._tape.ask("GET", url, own | middle)
        if answer.has_redirect_location:
            kept = {name: middle[name] for name in middle if name == "Range"}
            self._tape.ask("GET", answer.headers["Location"], kept)

    def report(self, place: dict[str, Any]) -> dict[str, Any]:
        return self._tell(
            place,
            bytes=len(self.body),
            sha256=wire.sha256(self.body),
            loss=0.125,
        )

    def measured(self, place: dict[str, Any]) -> dict[str, Any]:
        return self._tell(place, metrics={"accuracy": 0.75, "loss": 0.5})

    def _tell(self, place: dict[str, Any], **fields: Any) -> dict[str, Any]:
        report = Report(outcome=Outcome.COMPLETED, num_examples=_EXAMPLES, train_s=0.0, **fields)
        return self._post(f"/v1/assignments/{place['assignment_id']}/report", report)

    def upload(self, instruction: dict[str, Any]) -> None:
        url, headers = instruction["url"], dict(instruction["headers"])
        if url.startswith("/"):
            headers |= {
                "Content-Type": wire.MEDIA_TYPE,
                "Content-Digest": wire.content_digest(wire.sha256(self.body)),
            }
            headers.setdefault("Authorization", f"Bearer {self._token}")
        self._tape.ask(instruction["method"], url, headers, self.body)
        if instruction.get("commit_url") is not None:
            own = {"Authorization": f"Bearer {self._token}"}
            self._tape.ask("POST", instruction["commit_url"], own)

    def serve(self, *, cut: bool = False) -> None:
        """A whole session, but for the enrolment."""
        place = self.check_in()
        self.download(place, cut=cut)
        self.upload(self.report(place))
        self._tape.ends("accepted")

    def _post(self, path: str, message: Any, **headers: str) -> dict[str, Any]:
        fields = {"Content-Type": "application/json", **headers}
        if self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        said: dict[str, Any] = self._tape.ask("POST", path, fields, message).json()
        return said

    def _fresh_key(self) -> dict[str, str]:
        self._keys += 1
        self._key = f"{self._keys:048x}"
        return {"Idempotency-Key": self._key}


def happy_path(server: Any, device: Device, tape: Any) -> None:
    server.create_task(goal=1, over_selection=1.0)
    device.enrol()
    device.serve()
    server.clock.wait(20.0)
    device.serve()


def rejection(server: Any, device: Device, tape: Any) -> None:
    server.create_task()
    server.admin.pause("task")
    device.enrol()
    device.check_in()
    tape.ends("turned_away")
    server.admin.resume("task")
    server.clock.wait(20.0)
    device.serve()


def token_expiry(server: Any, device: Device, tape: Any) -> None:
    server.create_task(goal=1, over_selection=1.0)
    device.enrol()
    device.serve()
    server.clock.wait(100.0)
    device.check_in()
    key = device._key
    device.enrol()
    device._key = key
    place = device.check_in(again=True)
    device.download(place)
    device.upload(device.report(place))
    tape.ends("accepted")


def round_closed_at_report(server: Any, device: Device, tape: Any) -> None:
    server.create_task(goal=1, over_selection=2.0)
    device.enrol()
    place = device.check_in()
    device.download(place)
    server.phone().serve(server.delta(0.25))
    device.report(place)
    tape.ends("late")


def evaluation(server: Any, device: Device, tape: Any) -> None:
    server.create_task(goal=1, over_selection=1.0, evaluation=EvaluationSettings(every=1))
    server.phone().serve(server.delta(0.25))
    device.enrol()
    place = device.check_in()
    device.download(place)
    device.measured(place)
    tape.ends("accepted")


def resumed_download(server: Any, device: Device, tape: Any) -> None:
    server.create_task()
    device.enrol()
    device.serve(cut=True)


def upload_replay(server: Any, device: Device, tape: Any) -> None:
    server.create_task()
    device.enrol()
    place = device.check_in()
    device.download(place)
    instruction = device.report(place)
    device.upload(instruction)
    tape.spoil("lost")
    device.upload(instruction)
    tape.ends("accepted")


def rate_limit(server: Any, device: Device, tape: Any) -> None:
    server.create_task()
    server.admin.pause("task")
    device.enrol()
    device.check_in()
    tape.ends("turned_away")
    server.admin.resume("task")
    server.clock.wait(20.0)
    server.clock.wait(device.check_in()["retry_after_s"])
    place = device.check_in(again=True)
    device.download(place)
    device.upload(device.report(place))
    tape.ends("accepted")


def attestation(server: Any, device: Device, tape: Any) -> None:
    server.create_task()
    challenge = device.enrol()["challenge"]
    device.enrol(Attestation(kind="play_integrity", token=nonce(challenge), challenge=challenge))
    device.serve()


def foreign_store(server: Any, device: Device, tape: Any) -> None:
    server.create_task()
    device.enrol()
    device.serve(cut=True)


class _NonceVerifier:
    """Takes the nonce itself for the token, as no service would."""

    kind = "play_integrity"

    def verify(self, token: str, *, challenge: str, now: float) -> None:
        if token != nonce(challenge):
            raise AttestationFailed("the token is not of this challenge")


SCRIPTS: dict[str, tuple[Callable[[Any, Device, Any], None], dict[str, Any]]] = {
    "happy_path": (happy_path, {}),
    "rejection": (rejection, {}),
    "token_expiry": (token_expiry, {"token_ttl_s": 100.0}),
    "round_closed_at_report": (round_closed_at_report, {}),
    "evaluation": (evaluation, {}),
    "resumed_download": (resumed_download, {}),
    "upload_replay": (upload_replay, {}),
    "rate_limit": (rate_limit, {"check_ins_per_h": 60.0, "check_ins_burst": 1}),
    "attestation": (attestation, {}),
    "foreign_store": (foreign_store, {"blobs": f"s3://{BUCKET}/fleet"}),
}


def conversation(name: str, folder: Path, *, store: str) -> dict[str, Any]:
    """Plays one script; ``store`` is the address of an empty store that speaks S3."""
    script, changes = SCRIPTS[name]
    verifier = _NonceVerifier() if name == "attestation" else None
    with _credentials(store):
        server = _rehearsals.Rehearsal(folder, changes=changes, verifier=verifier)
        try:
            tape = Tape(server.http, store if "blobs" in changes else "")
            device = Device(server, tape)
            script(server, device, tape)
        finally:
            server.stop()
    return {"update": base64.b64encode(device.body).decode(), "sessions": tape.sessions}


@contextmanager
def _credentials(store: str) -> Iterator[None]:
    """The environment of a server that keeps its bytes in the store."""
    before = dict(os.environ)
    os.environ |= {
        "AWS_ENDPOINT_URL_S3": store,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


@contextmanager
def empty_store() -> Iterator[str]:
    """A store with one empty bucket, on a port of its own."""
    from pocketfed.server.blobs.s3_place import S3Place

    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    with _credentials(f"http://{host}:{port}"):
        S3Place(BUCKET, "fleet").client.create_bucket(Bucket=BUCKET)
    try:
        yield f"http://{host}:{port}"
    finally:
        store.stop()


def main() -> None:
    with empty_store() as store, tempfile.TemporaryDirectory() as folder:
        for name in SCRIPTS:
            place = Path(folder) / name
            place.mkdir()
            text = json.dumps(conversation(name, place, store=store), indent=1) + "\n"
            (FOLDER / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()

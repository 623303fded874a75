"""The load of the server's benchmark: devices over keep-alive connections, as cheap as they can be.

A body is one long common part and four bytes of its own at the end, under a running SHA-256 that
continues from the common part: every upload has another digest, and making it costs nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pocketfed.protocol import wire
from pocketfed.protocol.admin import CreateTask
from pocketfed.protocol.messages import (
    Assignment,
    CheckIn,
    Device,
    Enrolment,
    Outcome,
    Report,
    UploadInstruction,
)
from pocketfed.protocol.plan import Plan, RetryWindow, RoundSettings
from pocketfed.protocol.weights import WeightSpec

_T = TypeVar("_T")
_R = TypeVar("_R")

# The CNN of the paper: 1,663,370 weights, 6.65 MB.
PAPER_CNN = {
    "conv1/kernel": (5, 5, 1, 32),
    "conv1/bias": (32,),
    "conv2/kernel": (5, 5, 32, 64),
    "conv2/bias": (64,),
    "dense/kernel": (3136, 512),
    "dense/bias": (512,),
    "logits/kernel": (512, 10),
    "logits/bias": (10,),
}


class Bodies:
    """As many different deltas of one layout as wanted."""

    def __init__(self, spec: WeightSpec, *, seed: int = 0) -> None:
        vector = np.random.default_rng(seed).normal(0.0, 0.01, spec.size).astype(np.float32)
        head = wire.header(spec)
        self.common = head + vector.tobytes()[:-4]
        self.length = len(self.common) + 4
        self._digest = hashlib.sha256(self.common)

    def tail(self, number: int) -> tuple[bytes, str]:
        """The last element of a body, and the SHA-256 of the whole."""
        last = struct.pack("<f", number / 2**24)  # exact: 24 bits
        digest = self._digest.copy()
        digest.update(last)
        return last, digest.hexdigest()


class Line:
    """One keep-alive connection."""

    def __init__(self, host: str, port: int) -> None:
        self._http = http.client.HTTPConnection(host, port, timeout=120.0)

    def ask(
        self, method: str, path: str, *, token: str | None = None, body: bytes = b"", **more: str
    ) -> tuple[int, bytes]:
        fields = {name.replace("_", "-"): value for name, value in more.items()}
        if token is not None:
            fields.setdefault("Authorization", f"Bearer {token}")
        self._http.request(method, path, body, fields)
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def send(self, path: str, parts: Iterable[bytes], fields: dict[str, str]) -> int:
        """A PUT whose body comes in parts, none of which is copied."""
        self._http.putrequest("PUT", path)
        for name, value in fields.items():
            self._http.putheader(name, value)
        self._http.endheaders()
        for part in parts:
            self._http.send(part)
        answer = self._http.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._http.close()


@dataclass(frozen=True)
class Upload:
    """An update that has been announced and may be sent."""

    path: str
    fields: dict[str, str]
    tail: bytes


@dataclass(frozen=True)
class Load:
    """What devices ask of one server."""

    host: str
    port: int
    admin_token: str

    def line(self) -> Line:
        return Line(self.host, self.port)

    def create_task(
        self, population: str, spec: WeightSpec, *, goal: int, rounds: int | None
    ) -> None:
        """Opens a task whose model and manifest are a few opaque bytes."""
        line, checkpoint = self.line(), wire.encode(spec.zeros())
        digests = [self._deposit(line, body) for body in (b"model", b"manifest", checkpoint)]
        message = CreateTask(
            name=population,
            population=population,
            plan=Plan(max_examples=600),
            settings=RoundSettings(
                goal=goal,
                over_selection=1.0,
                rounds=rounds,
                retry=RetryWindow(min_s=1.0, max_s=2.0),
            ),
            spec=spec.entries,
            model_sha256=digests[0],
            manifest_sha256=digests[1],
            checkpoint_sha256=digests[2],
        )
        require(line.ask("POST", "/v1/admin/tasks", token=self.admin_token, body=message.to_json()))

    def _deposit(self, line: Line, body: bytes) -> str:
        digest = wire.sha256(body)
        require(line.ask("PUT", f"/v1/admin/blobs/{digest}", token=self.admin_token, body=body))
        return digest

    def enrol(self, count: int, *, threads: int) -> list[Device]:
        body = Enrolment(client_version="load").to_json()

        def one(line: Line, _: int) -> Device:
            return Device.from_json(require(line.ask("POST", "/v1/devices", body=body)))

        return self.spread(one, range(count), threads=threads)

    def check_in(self, line: Line, device: Device, population: str) -> Assignment | None:
        """A place, or None when the device was turned away."""
        body = CheckIn(client_version="load").to_json()
        path = f"/v1/populations/{population}/check-ins"
        status, answer = line.ask("POST", path, token=device.token, body=body)
        require((status, answer))
        return Assignment.from_json(answer) if status == 201 else None

    def announce(self, line: Line, device: Device, place: Assignment, bodies: Bodies) -> Upload:
        tail, sha256 = bodies.tail(int(place.assignment_id[:6], 16))
        report = Report(
            outcome=Outcome.COMPLETED, num_examples=600, bytes=bodies.length, sha256=sha256
        )
        path = f"/v1/assignments/{place.assignment_id}/report"
        answer = require(line.ask("POST", path, token=device.token, body=report.to_json()))
        instruction = UploadInstruction.from_json(answer)
        fields = {
            "Authorization": f"Bearer {device.token}",
            **instruction.headers,
            "Content-Type": wire.MEDIA_TYPE,
            "Content-Length": str(bodies.length),
            "Content-Digest": wire.content_digest(sha256),
        }
        return Upload(instruction.url, fields, tail)

    def upload(self, line: Line, upload: Upload, bodies: Bodies) -> None:
        status = line.send(upload.path, (bodies.common, upload.tail), upload.fields)
        if status != 201:
            raise RuntimeError(f"expected a receipt, got {status}")

    def spread(
        self, act: Callable[[Line, _T], _R], over: Iterable[_T], *, threads: int
    ) -> list[_R]:
        """Does something for each item, over as many connections as threads."""
        items, lock = iter(over), threading.Lock()
        results: list[_R] = []
        errors: list[Exception] = []

        def work() -> None:
            line = self.line()
            try:
                while not errors:
                    with lock:
                        item = next(items, None)
                    if item is None:
                        return
                    results.append(act(line, item))
            except Exception as error:
                errors.append(error)
            finally:
                line.close()

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if errors:
            raise errors[0]
        return results

    @contextmanager
    def stalled(self, uploads: Iterable[Upload], bodies: Bodies) -> Iterator[None]:
        """Holds uploads that have sent their head and half of their body and say nothing more."""
        held = []
        for upload in uploads:
            connection = socket.create_connection((self.host, self.port), timeout=30.0)
            held.append(connection)
            fields = "".join(f"{name}: {value}\r\n" for name, value in upload.fields.items())
            head = f"PUT {upload.path} HTTP/1.1\r\nHost: {self.host}\r\n{fields}\r\n"
            connection.sendall(head.encode() + bodies.common[: bodies.length // 2])
        try:
            yield
        finally:
            for connection in held:
                connection.close()


def require(answer: tuple[int, bytes]) -> bytes:
    """The body of a 2xx answer."""
    status, body = answer
    if status not in (200, 201):
        raise RuntimeError(f"the server answered {status}: {body[:200]!r}")
    return body


def timed(act: Callable[[], object]) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began

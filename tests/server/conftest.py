"""A server in this process, its clients, and ways to look at what it keeps."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
from pocketfed.client import AdminClient, DeviceClient, Session
from pocketfed.protocol import wire
from pocketfed.protocol.admin import CheckpointSummary, TaskSummary
from pocketfed.protocol.artifact import (
    CHECKPOINT,
    MANIFEST,
    MODEL,
    Artifact,
    FileEntry,
    Manifest,
    Tolerances,
)
from pocketfed.protocol.codecs import codec_named
from pocketfed.protocol.messages import (
    Assignment,
    CheckIn,
    Device,
    Enrolment,
    Outcome,
    Receipt,
    Report,
    UploadInstruction,
)
from pocketfed.protocol.plan import Plan, RetryWindow, RoundSettings
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server import Config, create_app
from pocketfed.server.store import Store, file_url
from pocketfed.server.trust.attestation import Verifier

SPEC = WeightSpec.of({"dense/kernel": (3, 4), "dense/bias": (4,)})
CHECK_IN = CheckIn(client_version="1")
PLAN = Plan(max_examples=100)
URL = "http://server"


def settings(**changes: Any) -> RoundSettings:
    """Small rounds: 2 reports wanted, 1 suffices at the deadline, 3 places."""
    fields: dict[str, Any] = {
        "goal": 2,
        "over_selection": 1.5,
        "minimum_fraction": 0.5,
        "selection_timeout_s": 100.0,
        "report_timeout_s": 300.0,
        "compute_timeout_s": 60.0,
        "upload_timeout_s": 30.0,
        "retry": RetryWindow(min_s=10.5, max_s=20.0),
    }
    return RoundSettings(**{**fields, **changes})


def delta_of(value: float, spec: WeightSpec = SPEC) -> Weights:
    return Weights(spec, np.full(spec.size, value, np.float32))


def announcing(body: bytes, *, num_examples: int = 10, **changes: Any) -> Report:
    fields: dict[str, Any] = {
        "outcome": Outcome.COMPLETED,
        "num_examples": num_examples,
        "bytes": len(body),
        "sha256": wire.sha256(body),
        "loss": 0.5,
    }
    return Report(**{**fields, **changes})


def make_artifact(folder: Path, checkpoint: Weights) -> Artifact:
    """An artifact whose model is opaque to the server."""
    folder.mkdir(exist_ok=True)
    bodies = {MODEL: b"a model " * 100, CHECKPOINT: wire.encode(checkpoint)}
    manifest = Manifest(
        name="tiny",
        created_by="tests",
        files={
            name: FileEntry(sha256=wire.sha256(body), bytes=len(body))
            for name, body in bodies.items()
        },
        signatures={},
        batch_size=10,
        evaluate_batch_size=10,
        spec=checkpoint.spec.entries,
        loss="none",
        optimizer="sgd",
        ops={},
        minimum_runtime="none",
        tolerances=Tolerances(atol=0.0, rtol=0.0),
    )
    for name, body in {**bodies, MANIFEST: manifest.to_json()}.items():
        (folder / name).write_bytes(body)
    return Artifact.read(folder)


def read_table(data: Path, table: str, database: str = "") -> list[dict[str, Any]]:
    if database:
        return load("postgresql").rows(database, table)
    connection = sqlite3.connect(data / "pocketfed.sqlite3")
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
    finally:
        connection.close()


@cache
def load(name: str) -> ModuleType:
    """Another file of this folder, as a module."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def empty_tables() -> bytes:
    """An SQLite file with all tables and no row: each revision is applied once, not per server."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pocketfed.sqlite3"
        Store.open(file_url(file), connections=1).close()
        return file.read_bytes()


def lay_tables(data: Path) -> None:
    """Gives a folder that has no database one that is up to date."""
    file = data / "pocketfed.sqlite3"
    if not file.exists():
        data.mkdir(parents=True, exist_ok=True)
        file.write_bytes(empty_tables())


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Phone:
    """A device with the body it will send."""

    client: DeviceClient
    assignment: Assignment | None = None

    @property
    def token(self) -> str:
        assert self.client.device is not None
        return self.client.device.token

    def check_in(self, population: str = "phones", message: CheckIn = CHECK_IN) -> Any:
        answer = self.client.check_in(population, message)
        if isinstance(answer, Assignment):
            self.assignment = answer
        return answer

    @property
    def place(self) -> Assignment:
        assert self.assignment is not None
        return self.assignment

    def announce(self, body: bytes, **changes: Any) -> UploadInstruction:
        answer = self.client.report(self.place.assignment_id, announcing(body, **changes))
        assert isinstance(answer, UploadInstruction)
        return answer

    def deliver(self, delta: Weights, **changes: Any) -> Receipt:
        """Reports and uploads, in the codec of the place."""
        body = codec_named(self.place.codec).encode(delta, None)
        return self.client.upload(self.announce(body, **changes), body)

    def serve(self, delta: Weights, **changes: Any) -> Receipt:
        """Checks in, reports and uploads."""
        assert isinstance(self.check_in(), Assignment)
        return self.deliver(delta, **changes)


class Routes(httpx.BaseTransport):
    """Leads to the server in this process, and to every other host over the network."""

    def __init__(self, server: httpx.BaseTransport) -> None:
        self._server = server
        self._network: httpx.HTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == httpx.URL(URL).host:
            return self._server.handle_request(request)
        if self._network is None:
            self._network = httpx.HTTPTransport()
        return self._network.handle_request(request)

    def close(self) -> None:
        if self._network is not None:
            self._network.close()


@dataclass
class Rehearsal:
    """A server over WSGI on a virtual clock, with as many phones as wanted."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    changes: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    verifier: Verifier | None = None
    database: str = ""

    spec = SPEC
    check_in = CHECK_IN
    delta = staticmethod(delta_of)
    announcing = staticmethod(announcing)
    settings = staticmethod(settings)
    make_artifact = staticmethod(make_artifact)

    def __post_init__(self) -> None:
        self.entropy = random.Random(self.seed).randbytes
        self.sessions: list[Session] = []
        if not self.database:
            lay_tables(self.data)
        self.start()

    def start(self) -> None:
        config = Config(
            **{
                "data_dir": self.data,
                "coordinator": "inline",
                "database": self.database,
                "keep_updates_s": 0.0,
                "min_free_bytes": 0,
                **self.changes,
            }
        )
        self.app = create_app(
            config, clock=self.clock, entropy=self.entropy, verifier=self.verifier
        )
        self.server = self.app.extensions["pocketfed"]
        self.http = httpx.Client(base_url=URL, transport=httpx.WSGITransport(app=self.app))
        self.admin = AdminClient(self.session(), token=self.server.admin_token)

    def session(self) -> Session:
        session = Session(URL, transport=self.transport())
        self.sessions.append(session)
        return session

    def transport(self) -> httpx.BaseTransport:
        """How a phone reaches this server, and the object store beside it."""
        return Routes(httpx.WSGITransport(app=self.app))

    def leave(self, name: str, body: bytes, *, age_s: float) -> None:
        """Leaves a file among the blobs, as a process that was killed then would have."""
        (self.data / "blobs" / name).write_bytes(body)
        self.age(name, age_s)

    def age(self, name: str, age_s: float) -> None:
        then = time.time() - age_s - 1.0  # the clock of a file system ticks coarsely
        os.utime(self.data / "blobs" / name, (then, then))

    def stop(self) -> None:
        self.http.close()
        for session in self.sessions:
            session.close()
        self.server.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def body(self, value: float) -> bytes:
        """An encoded delta whose every element is ``value``."""
        return wire.encode(delta_of(value))

    def phone(self) -> Phone:
        client = DeviceClient(self.session())
        client.enrol(Enrolment(client_version="1"))
        return Phone(client)

    def create_task(
        self,
        name: str = "task",
        *,
        population: str = "phones",
        checkpoint: Weights | None = None,
        plan: Plan = PLAN,
        **changes: Any,
    ) -> TaskSummary:
        start = checkpoint or delta_of(1.0)
        # A folder of its own: several may make one task at once.
        artifact = make_artifact(Path(tempfile.mkdtemp(dir=self.folder)), start)
        return self.admin.create_task(
            name, artifact=artifact, population=population, plan=plan, settings=settings(**changes)
        )

    def rounds(self, name: str = "task") -> list[Any]:
        return list(self.admin.history(name).rounds)

    def weights(self, name: str = "task", spec: WeightSpec = SPEC) -> np.ndarray:
        """The newest checkpoint of a task."""
        checkpoint = self.admin.history(name).task.checkpoint
        return wire.decode(self.admin.download(checkpoint), spec).vector

    def rows(self, table: str) -> list[dict[str, Any]]:
        return read_table(self.data, table, self.database)

    def blobs(self) -> set[str]:
        return {path.name for path in (self.data / "blobs").iterdir()}

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def everything(self) -> dict[str, Any]:
        """All that the server keeps, but for its counts of what it has turned away."""
        if self.database:
            tables = load("postgresql").tables(self.database)
        else:
            made = self.rows("sqlite_master")
            tables = [row["name"] for row in made if row["type"] == "table"]
        kept = set(tables) - {"sightings"}
        return {**{table: self.rows(table) for table in kept}, "blobs": self.blobs()}

    def request(self, method: str, path: str, *, phone: Phone | None = None, **more: Any) -> Any:
        headers = dict(more.pop("headers", {}))
        if phone is not None:
            headers["Authorization"] = f"Bearer {phone.token}"
        return self.http.request(method, path, headers=headers, **more)

    def put_update(self, phone: Phone, body: bytes, **headers: str | None) -> httpx.Response:
        """A raw upload; a header given as None is left out."""
        fields: dict[str, str | None] = {
            "Content-Type": wire.MEDIA_TYPE,
            "Content-Digest": wire.content_digest(wire.sha256(body)),
            "Content-Length": str(len(body)),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        path = f"/v1/assignments/{phone.place.assignment_id}/update"
        request = self.http.build_request(
            "PUT", path, content=body, headers={"Authorization": f"Bearer {phone.token}"}
        )
        for name, value in fields.items():
            request.headers.pop(name, None)
            if value is not None:
                request.headers[name] = value
        return self.http.send(request)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A running PostgreSQL; see postgresql.py."""
    postgresql = load("postgresql")
    binaries = postgresql.installed()
    if binaries is None:
        skip_or_fail(postgresql.MISSING)
    with postgresql.cluster(binaries) as made:
        yield made


@pytest.fixture
def postgresql(cluster: Any) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database with all tables."""
    url = cluster.create()
    yield url
    cluster.drop(url)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """The database of the test's servers; conformance suites are parametrized with both kinds."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return ""
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def rehearse(tmp_path: Path, database: str) -> Iterator[Callable[..., Rehearsal]]:
    """Starts servers with changed settings, and stops them at the end."""
    started: list[Rehearsal] = []

    def start(**changes: Any) -> Rehearsal:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Rehearsal(folder, changes=changes, database=database))
        return started[-1]

    yield start
    for rehearsal in started:
        rehearsal.stop()


def skip_or_fail(reason: str) -> None:
    """Skips a test whose surroundings this machine lacks; a failure where all must be there."""
    if os.environ.get("POCKETFED_REQUIRE_ALL") == "1":
        pytest.fail(f"POCKETFED_REQUIRE_ALL is set, but {reason}")
    pytest.skip(reason)


@pytest.fixture
def unless_present() -> Callable[[str], None]:
    return skip_or_fail


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A store that speaks S3, on a port of its own."""
    try:
        from moto.server import ThreadedMotoServer
    except ImportError:
        skip_or_fail("moto[server] is not installed")
        raise
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    yield f"http://{host}:{port}"
    store.stop()


@dataclass(frozen=True)
class Bucket:
    """An empty bucket, and a look into it."""

    client: Any
    name: str
    url: str

    @property
    def location(self) -> str:
        return f"s3://{self.name}/fleet"

    def names(self, kind: str) -> set[str]:
        listed = self.client.list_objects_v2(Bucket=self.name, Prefix=f"fleet/{kind}/")
        return {one["Key"].rpartition("/")[2] for one in listed.get("Contents", [])}

    def put(self, kind: str, name: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"fleet/{kind}/{name}", Body=body)


@pytest.fixture
def bucket(s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    from pocketfed.server.blobs import s3_place

    for name, value in {
        "AWS_ENDPOINT_URL_S3": s3_url,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    name = "b" + wire.sha256(str(tmp_path).encode())[:20]
    client = s3_place.S3Place(name, "fleet").client
    client.create_bucket(Bucket=name)
    return Bucket(client, name, s3_url)


@pytest.fixture(scope="session")
def rehearsal_in() -> Callable[..., Rehearsal]:
    """Starts a server in a folder; the caller stops it."""
    return lambda folder, *, database="", **changes: Rehearsal(
        folder, changes=changes, database=database
    )


@pytest.fixture
def server(rehearse: Callable[..., Rehearsal]) -> Rehearsal:
    return rehearse()


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """tests/reference.py: federated averaging to be read, not to be fast."""
    path = Path(__file__).parents[1] / "reference.py"
    spec = importlib.util.spec_from_file_location("reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Live:
    """The real server in a process of its own; it may be killed and started again."""

    def __init__(self, folder: Path, *, database: str = "", flags: tuple[str, ...] = ()) -> None:
        self.data = folder / "data"
        self.folder = folder
        self.database = database
        self.flags = [f"--data_dir={self.data}", f"--database={database}", *flags]
        self.flags.append("--keep_updates_s=0")
        self.sessions: list[Session] = []
        if not database:
            lay_tables(self.data)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "pocketfed.cli", "serve", "--port=0", "--tick_s=60"]
        self.process = subprocess.Popen([*command, *self.flags], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        address = json.loads((self.data / "server.json").read_text())
        assert address["pid"] == self.process.pid
        self.url = address["url"]
        self._await_readiness()
        token = (self.data / "admin.token").read_text().strip()
        self.admin = AdminClient(self.session(), token=token)

    def _await_readiness(self) -> None:
        """Workers start after the address is known."""
        with httpx.Client(base_url=self.url, timeout=20.0) as http:
            assert http.get("/readyz").status_code == 200

    def session(self) -> Session:
        self.sessions.append(Session(self.url, timeout_s=20.0))
        return self.sessions[-1]

    def end(self, number: int) -> int:
        """Ends the process with a signal, SIGKILL included, and returns how it ended."""
        self.process.send_signal(number)
        self.hang_up()
        code = self.process.wait(30.0)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def hang_up(self) -> None:
        """Closes the connections of all phones: each of them keeps its worker waiting."""
        for session in self.sessions:
            session.close()
        self.sessions.clear()

    def kill(self) -> None:
        assert self.end(signal.SIGKILL) == -signal.SIGKILL

    def phone(self, device: Device | None = None) -> Phone:
        """A new phone, or a known one that speaks to the server as it is now."""
        client = DeviceClient(self.session(), device=device)
        if device is None:
            client.enrol(Enrolment(client_version="1"))
        return Phone(client)

    def connect(self) -> Any:
        """A connection of the test's own to the server's PostgreSQL."""
        return load("postgresql").connect(self.database)

    def half_upload(self, phone: Phone, body: bytes) -> socket.socket:
        """Opens a connection and sends the head and half of a body."""
        host, port = self.url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)), timeout=10.0)
        head = (
            f"PUT /v1/assignments/{phone.place.assignment_id}/update HTTP/1.1\r\n"
            f"Host: {host}\r\nAuthorization: Bearer {phone.token}\r\n"
            f"Content-Type: {wire.MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Digest: {wire.content_digest(wire.sha256(body))}\r\n\r\n"
        )
        connection.sendall(head.encode() + body[: len(body) // 2])
        return connection

    def create_task(self, checkpoint: Weights, **changes: Any) -> TaskSummary:
        artifact = make_artifact(self.folder / "artifact", checkpoint)
        return self.admin.create_task(
            "task", artifact=artifact, population="phones", plan=PLAN, settings=settings(**changes)
        )

    def wait_for_version(self, version: int) -> CheckpointSummary:
        """The newest checkpoint, once there is the one that is waited for."""
        give_up_at = time.monotonic() + 20.0
        while time.monotonic() < give_up_at:
            checkpoint = self.admin.history("task").task.checkpoint
            if checkpoint.version >= version:
                return checkpoint
            time.sleep(0.02)
        raise TimeoutError(f"no version {version}")

    def rows(self, table: str) -> list[dict[str, Any]]:
        return read_table(self.data, table, self.database)

    def age_blobs(self, age_s: float) -> None:
        """Makes all that lies there old, so that a sweep looks at it."""
        then = time.time() - age_s
        for path in (self.data / "blobs").iterdir():
            os.utime(path, (then, then))

    def blobs(self) -> set[str]:
        return {path.name for path in (self.data / "blobs").iterdir()}


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    server = Live(tmp_path)
    yield server
    if server.process.poll() is None:
        server.end(signal.SIGTERM)


class Coordinating:
    """A coordinator in a process of its own; it may be killed."""

    def __init__(self, data: Path, database: str, *, program: str = "", flags: Any = ()) -> None:
        self.folding = data.parent / "folding"
        code = ["-c", program] if program else ["-m", "pocketfed.cli"]
        self.process = subprocess.Popen(
            [
                *(sys.executable, *code, "coordinate", "--tick_s=0.05"),
                *(f"--data_dir={data}", f"--database={database}", *flags),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(20.0)


@pytest.fixture
def coordinate() -> Iterator[Callable[..., Coordinating]]:
    """Starts coordinators, and stops them at the end."""
    started: list[Coordinating] = []

    def start(*arguments: Any, **named: Any) -> Coordinating:
        started.append(Coordinating(*arguments, **named))
        return started[-1]

    yield start
    for coordinator in started:
        if coordinator.process.poll() is None:
            coordinator.end(signal.SIGTERM)


@pytest.fixture
def workers(tmp_path: Path, postgresql: str) -> Iterator[Live]:
    """The server as two gunicorn processes on PostgreSQL."""
    server = Live(tmp_path, database=postgresql, flags=("--workers=2", "--coordinator=none"))
    yield server
    if server.process.poll() is None:
        server.end(signal.SIGTERM)

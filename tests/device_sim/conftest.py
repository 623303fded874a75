"""A small model, small phones and two servers: the real one, and one that misbehaves on demand."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
from pocketfed.client import AdminClient, Session
from pocketfed.device_sim.conditions import on_a_real_clock
from pocketfed.device_sim.data.examples import Examples
from pocketfed.device_sim.fleet import VirtualClock
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.phones.encoding import Debts
from pocketfed.device_sim.phones.phone import Phone
from pocketfed.device_sim.phones.phone_client import PhoneClient
from pocketfed.device_sim.phones.retrying import RetryPolicy
from pocketfed.device_sim.phones.sessions import SessionRecord
from pocketfed.device_sim.phones.shelf import Shelf
from pocketfed.device_sim.phones.surroundings import Surroundings
from pocketfed.device_sim.workers import Inline
from pocketfed.protocol import wire
from pocketfed.protocol.admin import TaskHistory
from pocketfed.protocol.artifact import MANIFEST, Artifact, InputScale
from pocketfed.protocol.errors import PocketFedError
from pocketfed.protocol.messages import (
    Assignment,
    AssignmentState,
    Device,
    Fate,
    Receipt,
    Resource,
    UploadInstruction,
)
from pocketfed.protocol.plan import Plan, RetryWindow, RoundSettings
from pocketfed.protocol.problems import to_problem
from pocketfed.server import create_app
from pocketfed.server.config import Config

SIDE, CLASSES, BATCH, EVALUATE_BATCH = 4, 3, 10, 16
WINDOW = RetryWindow(min_s=30.0, max_s=60.0)


@pytest.fixture(scope="session")
def make_examples() -> Callable[..., Examples]:
    """Images of which a small model can tell the class."""

    def make(count: int, *, seed: int = 0) -> Examples:
        rng = np.random.default_rng(seed)
        y = rng.integers(0, CLASSES, count).astype(np.int32)
        prototypes = np.random.default_rng(99).integers(0, 200, (CLASSES, SIDE, SIDE))
        x = prototypes[y] + rng.integers(0, 56, (count, SIDE, SIDE))
        return Examples(x.astype(np.uint8), y)

    return make


@pytest.fixture(scope="session")
def artifact(tmp_path_factory) -> Artifact:
    """A real export of a two-layer model of 4 x 4 images."""
    return _export(tmp_path_factory.mktemp("artifacts") / "tiny", optimizer="sgd")


@pytest.fixture(scope="session")
def artifact_of_adam(tmp_path_factory) -> Artifact:
    """The same model, trained by an optimizer that remembers its steps."""
    return _export(tmp_path_factory.mktemp("artifacts") / "tiny", optimizer="adam")


@pytest.fixture(scope="session")
def artifact_of_dropout(tmp_path_factory) -> Artifact:
    """The same model with half of its hidden units dropped in each step."""
    return _export(tmp_path_factory.mktemp("artifacts") / "tiny", optimizer="sgd", dropout=0.5)


def _export(out: Path, *, optimizer: str, dropout: float = 0.0) -> Artifact:
    from pocketfed.model_export import export
    from pocketfed.runtime import quietly

    with quietly():
        import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((SIDE, SIDE)),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(CLASSES),
        ],
        name="tiny",
    )
    return export(
        model,
        out=out,
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        batch_size=BATCH,
        evaluate_batch_size=EVALUATE_BATCH,
        input_scale=InputScale(scale=1 / 255),
        plan=Plan(batch_size=BATCH),
        graph=True,
    )


class ScriptedServer:
    """Behaves like a server with one endless round, except where ``script`` says otherwise.

    ``script[step]`` holds what the next requests of a step meet instead: an error to answer with,
    an httpx error to raise, or a finished response. ``log`` lists the steps that were requested.
    """

    def __init__(self, artifact: Artifact, plan: Plan) -> None:
        self.blobs = {
            wire.sha256(body): body
            for body in (
                artifact.model,
                (artifact.folder / MANIFEST).read_bytes(),
                artifact.bytes_of("checkpoint.safetensors"),
            )
        }
        self.plan = plan
        self.assignment_id = "a1"
        self.codec = "float32"
        self.script: dict[str, list[object]] = {}
        self.log: list[str] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        step = self._step(request)
        self.log.append(step)
        self.requests.append(request)
        if self.script.get(step):
            return _scripted(self.script[step].pop(0))
        return getattr(self, f"_{step}")(request)

    def _step(self, request: httpx.Request) -> str:
        path = request.url.path
        if path.startswith("/v1/blobs/"):
            return "download"
        ends = {"devices": "enrol", "check-ins": "check_in", "report": "report", "update": "upload"}
        if request.method == "DELETE":
            return "abort"
        return ends[path.rsplit("/", 1)[1]]

    def _enrol(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(201, content=Device(device_id="d", token="t").to_json())

    def _check_in(self, _: httpx.Request) -> httpx.Response:
        model, manifest, checkpoint = (
            Resource(url=f"/v1/blobs/{name}", sha256=name, bytes=len(body))
            for name, body in self.blobs.items()
        )
        assignment = Assignment(
            assignment_id=self.assignment_id,
            task="tiny",
            round=1,
            attempt=1,
            checkpoint=checkpoint,
            model=model,
            manifest=manifest,
            plan=self.plan,
            codec=self.codec,
            compute_within_s=100.0,
            upload_within_s=100.0,
            retry=WINDOW,
        )
        return httpx.Response(201, content=assignment.to_json())

    def _download(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self.blobs[request.url.path.rsplit("/", 1)[1]])

    def _report(self, request: httpx.Request) -> httpx.Response:
        if b'"completed"' not in request.content:
            fate = Fate(
                assignment_id=self.assignment_id, state=AssignmentState.FAILED, retry=WINDOW
            )
            return httpx.Response(200, content=fate.to_json())
        url = f"/v1/assignments/{self.assignment_id}/update"
        return httpx.Response(
            200, content=UploadInstruction(url=url, upload_within_s=9.0).to_json()
        )

    def _upload(self, request: httpx.Request) -> httpx.Response:
        receipt = Receipt(
            assignment_id=self.assignment_id,
            sha256=wire.sha256(request.content),
            bytes=len(request.content),
        )
        return httpx.Response(201, content=receipt.to_json())

    def _abort(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(204)


def _scripted(entry: object) -> httpx.Response:
    if isinstance(entry, PocketFedError):
        problem = to_problem(entry)
        return httpx.Response(
            problem.status,
            content=msgspec.json.encode(problem),
            headers={"Content-Type": "application/problem+json"},
        )
    if isinstance(entry, Exception):
        raise entry
    assert isinstance(entry, httpx.Response)
    return entry


class Bench:
    """One phone on a virtual clock in front of a scripted server.

    ``conditions`` are fields of its PhoneConditions; what is not named is as on a real clock.
    """

    def __init__(
        self,
        artifact: Artifact,
        examples: Examples,
        *,
        drop_out: float = 0.0,
        plan: Plan | None = None,
        retry: RetryPolicy | None = None,
        **conditions: object,
    ) -> None:
        self.server = ScriptedServer(artifact, plan or Plan(epochs=1, batch_size=BATCH))
        self.clock = VirtualClock()
        self.records: list[SessionRecord] = []
        session = Session("http://server", transport=httpx.MockTransport(self.server))
        self.client = PhoneClient(session)
        self.phone = Phone(
            len(examples),
            conditions=replace(
                on_a_real_clock(drop_out=drop_out, seed=3, device=0),
                **conditions,  # pyright: ignore[reportArgumentType]
            ),
            client=self.client,
            surroundings=Surroundings(
                population="people",
                retry=retry or RetryPolicy(),
                clock=self.clock.now,
                workers=Inline(Listed([examples])),
                shelf=Shelf(),
                debts=Debts(),
                observe=self.records.append,
            ),
        )

    def wake(self) -> float:
        """Wakes the phone; returns how long it wants to sleep, and lets that time pass."""
        before = self.clock.now()
        due = self.phone.wake()
        self.clock.advance_to(due)
        return due - before

    def run_session(self) -> SessionRecord:
        """Wakes the phone until a session has ended."""
        ended = len(self.records)
        for _ in range(50):
            self.wake()
            if len(self.records) > ended:
                return self.records[-1]
        raise AssertionError(f"no session ended; the server saw {self.server.log}")


@pytest.fixture
def make_bench(artifact, make_examples):
    def make(count: int = 7, **options) -> Bench:
        return Bench(artifact, make_examples(count), **options)

    return make


class Hosted:
    """A real server in this process, on a clock of its own choosing, with one task on it."""

    def __init__(
        self, folder: Path, artifact: Artifact, settings: RoundSettings, clock: VirtualClock | None
    ) -> None:
        now = clock.now if clock else time.time
        self.app = create_app(Config(data_dir=folder, coordinator="inline"), clock=now)
        self._server = self.app.extensions["pocketfed"]
        self.session = Session("http://server", transport=httpx.WSGITransport(app=self.app))
        self.admin = AdminClient(self.session, token=self._server.admin_token)
        self.admin.create_task(
            "tiny",
            artifact=artifact,
            population="people",
            plan=Plan(epochs=2, batch_size=BATCH, learning_rate=0.1),
            settings=settings,
        )

    def history(self) -> TaskHistory:
        return self.admin.history("tiny")

    def close(self) -> None:
        self.session.close()
        self._server.close()


@pytest.fixture
def host(artifact, tmp_path):
    """Starts real servers; they are closed after the test."""
    with ExitStack() as stack:
        numbers = itertools.count()

        def start(settings: RoundSettings, *, clock: VirtualClock | None = None) -> Hosted:
            hosted = Hosted(tmp_path / f"server{next(numbers)}", artifact, settings, clock)
            stack.callback(hosted.close)
            return hosted

        yield start

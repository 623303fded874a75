"""A server that dies at any step ends where an undisturbed one does, and keeps what it has said.

Phones serve a task with momentum for three rounds, of which one is abandoned by its guard and one
by its deadline on the way. The process that is to die does so at the points of crashing.py, one
after the other; after each death what it left is audited, it is started again, and whoever got no
answer repeats the request. Time moves when the test says so.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import pytest
from pocketfed.client import AdminClient, DeviceClient, Session
from pocketfed.protocol import wire
from pocketfed.protocol.admin import TaskHistory
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.errors import NoAnswer
from pocketfed.protocol.folding import Sgd
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
from pocketfed.protocol.plan import Plan, RoundSettings
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server import Config
from pocketfed.server.blobs import FolderBlobs
from pocketfed.server.coordination.sweeper import ORPHAN_TTL_S, Sweeper
from pocketfed.server.operating.audit import Finding, audit
from pocketfed.server.store import Store, file_url
from sqlalchemy import create_engine, text

Answer = TypeVar("Answer")
Deaths = tuple[tuple[str, int], ...]

# Where to die and at which time there, in the order in which a run comes by.
BEGINNING: Deaths = (
    ("tables: half", 3),
    ("sweep: before", 1),
    ("sweep: committed", 1),
    ("orphan: removing", 1),
    ("signing key: before", 1),
    ("signing key: committed", 1),
    ("deposit: unnamed", 1),
    ("deposit: named", 2),
    ("deposit: before", 2),
    ("deposit: committed", 1),
    ("task: before", 1),
    ("task: committed", 1),
    ("enrolment: before", 1),
    ("enrolment: committed", 2),
)
DELIVERY: Deaths = (
    ("check-in: before", 2),
    ("check-in: committed", 2),
    ("report: before", 1),
    ("report: committed", 2),
    ("body: half", 1),
    ("body: whole", 2),
    ("update: unnamed", 1),
    ("update: named", 1),
    ("upload: before", 1),
    ("upload: committed", 2),
)
COORDINATION: Deaths = (
    ("claim: before", 1),
    ("claim: committed", 1),
    ("fold: half", 2),
    ("state: half", 1),
    ("checkpoint: unnamed", 1),
    ("checkpoint: named", 1),
    ("checkpoint: before", 1),
    ("checkpoint: committed", 1),
    ("abandonment: before", 1),
    ("abandonment: committed", 1),
    ("deadlines: before", 1),
    ("deadlines: committed", 1),
    ("released update: removing", 1),
    ("release: before", 1),
    ("release: committed", 1),
)
EVERY = BEGINNING + DELIVERY + COORDINATION
# Where an audit finds no tables yet, or files gone whose rows go when the next start releases them.
UNFINISHED = ("tables: half", "release: before")

SPEC = WeightSpec.of({"kernel": (30, 20)})
EXAMPLES = (10, 3, 77)
ROUNDS = 3
SELECTION_S = 1000.0
KEEP_S = 500.0
LEASE_S = 1.0
SETTINGS = RoundSettings(
    goal=3,
    over_selection=1.0,
    minimum_fraction=1.0,
    selection_timeout_s=SELECTION_S,
    report_timeout_s=SELECTION_S,
    compute_timeout_s=SELECTION_S - 100.0,
    upload_timeout_s=SELECTION_S - 100.0,
    rounds=ROUNDS,
    server_optimizer=Sgd(momentum=0.5),
    max_update_norm=10.0,
)
PLAN = Plan(max_examples=100)
ATTEMPTS = [
    (1, 1, "committed", None),
    (2, 1, "abandoned", "guard"),
    (2, 2, "committed", None),
    (3, 1, "abandoned", "too_few_devices"),
    (3, 2, "committed", None),
]
TOO_LONG = Weights(SPEC, np.full(SPEC.size, 2.0, np.float32))


def work() -> tuple[Weights, list[list[Weights]]]:
    """The start, and the deltas of every round that is to be committed."""
    rng = np.random.default_rng(11)
    start = Weights(SPEC, rng.normal(0.0, 1.0, SPEC.size).astype(np.float32))
    deltas = [
        [Weights(SPEC, rng.normal(0.0, 0.1, SPEC.size).astype(np.float32)) for _ in EXAMPLES]
        for _ in range(ROUNDS)
    ]
    return start, deltas


class Fleet:
    """Phones and an operator of a server that dies as often as there are ``deaths``.

    With ``is_apart`` the coordinator is a process of its own, and it is the one that dies.
    """

    def __init__(self, folder: Path, database: str, deaths: Deaths, *, is_apart: bool) -> None:
        self.folder, self.data, self.database = folder, folder / "data", database
        self.clock = folder / "clock"
        self.now = 1_000_000.0
        self.wait(0.0)
        self.deaths = deque(deaths)
        self.receipts: list[Receipt] = []
        self._sessions: list[Session] = []
        self._others: list[subprocess.Popen[str]] = []
        self._leave_remains()
        if is_apart:
            self._others.append(self._spawn("serve", "--coordinator=none"))
            self._meet(self._others[0])
        self._command = "coordinate" if is_apart else "serve"
        self._rise()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        new = self.clock.with_name("clock.new")
        new.write_text(str(self.now))
        new.replace(self.clock)

    def ask(self, request: Callable[[], Answer]) -> Answer:
        """Repeats a request that got no answer, after the server has come back."""
        while True:
            try:
                return request()
            except NoAnswer:
                self._bury()
                self._rise()

    def wait_until(self, holds: Callable[[TaskHistory], bool]) -> None:
        """Each death on the way gives it 30 s more."""
        ahead, give_up_at = len(self.deaths), time.monotonic() + 30.0
        while not holds(self.ask(lambda: self.admin.history("task"))):
            if len(self.deaths) < ahead:
                ahead, give_up_at = len(self.deaths), time.monotonic() + 30.0
            assert time.monotonic() < give_up_at
            if self._mortal.poll() is not None:
                self._bury()
                self._rise()
            time.sleep(0.02)

    def end(self) -> None:
        """Waits for deaths that nobody has noticed, then stops all that lives."""
        while self.deaths:
            self._bury()
            self._rise()
        for process in (self._mortal, *self._others):
            process.send_signal(signal.SIGTERM)
        self.hang_up()
        for process in (self._mortal, *self._others):
            assert process.stdout is not None
            process.stdout.close()
            assert process.wait(30.0) == 0

    def abolish(self) -> None:
        """Leaves no process behind a test that has failed."""
        self.hang_up()
        for process in (self._mortal, *self._others):
            process.kill()
            process.wait(30.0)
            assert process.stdout is not None
            process.stdout.close()

    def hang_up(self) -> None:
        while self._sessions:
            self._sessions.pop().close()

    def blobs(self) -> set[str]:
        return {path.name for path in (self.data / "blobs").iterdir()}

    def _leave_remains(self) -> None:
        """What a server that was killed a day ago may have left."""
        blobs = self.data / "blobs"
        blobs.mkdir(parents=True)
        for name in ("0" * 64, "incoming-0"):
            (blobs / name).write_bytes(b"remains")
        self.age_blobs()

    def age_blobs(self) -> None:
        then = time.time() - 2 * ORPHAN_TTL_S
        for path in (self.data / "blobs").iterdir():
            os.utime(path, (then, then))

    def _spawn(
        self, command: str, *flags: str, point: str = "nowhere", hit: int = 1
    ) -> subprocess.Popen[str]:
        program = Path(__file__).with_name("crashing.py")
        words = [sys.executable, str(program), point, str(hit), str(self.clock), "--", command]
        common = (
            *(f"--data_dir={self.data}", f"--database={self.database}", "--port=0"),
            *("--tick_s=0.02", f"--lease_s={LEASE_S}", f"--keep_updates_s={KEEP_S}"),
            "--min_free_bytes=0",
        )
        return subprocess.Popen([*words, *common, *flags], stdout=subprocess.PIPE, text=True)

    def _rise(self) -> None:
        """Starts the process that is to die, again if it dies while it starts."""
        while True:
            point, hit = self.deaths[0] if self.deaths else ("nowhere", 1)
            self._mortal = self._spawn(self._command, point=point, hit=hit)
            assert self._mortal.stdout is not None
            line = self._mortal.stdout.readline()
            if line.startswith("pocketfed"):
                break
            self._bury(line)
        if self._command == "serve":
            self._url = line.split()[-1]
            self._connect()

    def _meet(self, server: subprocess.Popen[str]) -> None:
        assert server.stdout is not None
        self._url = server.stdout.readline().split()[-1]
        self._connect()

    def _connect(self) -> None:
        self.hang_up()
        self.session = Session(self._url, timeout_s=20.0)
        self._sessions.append(self.session)
        self.admin = AdminClient(
            self.session, token=(self.data / "admin.token").read_text().strip()
        )

    def _bury(self, last_words: str = "") -> None:
        """The process has died where it was to, and nowhere else; some time passes."""
        code = self._mortal.wait(20.0)
        assert self._mortal.stdout is not None
        last_words += self._mortal.stdout.read()
        self._mortal.stdout.close()
        point, _ = self.deaths.popleft()
        # A coordinator's thread may die while another thread still says where the server is.
        words = [line for line in last_words.splitlines() if not line.startswith("pocketfed")]
        assert (code, words) == (-signal.SIGKILL, [f"died at {point}"])
        if point not in UNFINISHED and not self._others:  # others keep an audit off the folder
            require_sound(self, point)
        self.wait(2 * LEASE_S)


@dataclass
class Phone:
    """A phone that repeats what was not answered, word for word."""

    fleet: Fleet
    number: int
    examples: int
    device: Device | None = None
    check_ins: int = 0

    @property
    def client(self) -> DeviceClient:
        return DeviceClient(self.fleet.session, device=self.device)

    def enrol(self) -> None:
        key = f"the enrolment of phone {self.number}"
        enrolment = Enrolment(client_version="1")
        self.device = self.fleet.ask(lambda: self.client.enrol(enrolment, key=key))

    def check_in(self) -> None:
        self.check_ins += 1
        key = f"check-in {self.check_ins} of phone {self.number}"
        message = CheckIn(client_version="1")
        answer = self.fleet.ask(lambda: self.client.check_in("phones", message, key=key))
        assert isinstance(answer, Assignment)
        self.assignment_id = answer.assignment_id

    def report(self, delta: Weights) -> None:
        self.body = wire.encode(delta)
        report = Report(
            outcome=Outcome.COMPLETED,
            num_examples=self.examples,
            bytes=len(self.body),
            sha256=wire.sha256(self.body),
            loss=0.5,
        )
        answer = self.fleet.ask(lambda: self.client.report(self.assignment_id, report))
        assert isinstance(answer, UploadInstruction)
        self.instruction = answer

    def upload(self) -> None:
        receipt = self.fleet.ask(lambda: self.client.upload(self.instruction, self.body))
        assert receipt.sha256 == wire.sha256(self.body)
        self.fleet.receipts.append(receipt)


def attempt(phones: list[Phone], deltas: list[Weights]) -> None:
    """Every phone takes a place, then each reports, then each uploads."""
    for phone in phones:
        phone.check_in()
    for phone, delta in zip(phones, deltas, strict=True):
        phone.report(delta)
    for phone in phones:
        phone.upload()


def campaign(fleet: Fleet, artifact: Artifact) -> str:
    """All the rounds; returns the digest of the last checkpoint."""
    _, deltas = work()
    fleet.ask(
        lambda: fleet.admin.create_task(
            "task", artifact=artifact, population="phones", plan=PLAN, settings=SETTINGS
        )
    )
    phones = [Phone(fleet, number, examples) for number, examples in enumerate(EXAMPLES)]
    for phone in phones:
        phone.enrol()
    attempt(phones, deltas[0])
    fleet.wait_until(lambda history: len(history.rounds) == 2)
    attempt(phones, [TOO_LONG, TOO_LONG, TOO_LONG])
    fleet.wait_until(lambda history: len(history.rounds) == 3)
    attempt(phones, deltas[1])
    fleet.wait_until(lambda history: len(history.rounds) == 4)
    let_the_deadline_pass(fleet, phones)
    attempt(phones, deltas[2])
    fleet.wait_until(lambda history: history.task.status == "finished")
    history = fleet.ask(lambda: fleet.admin.history("task"))
    assert [one.version for one in history.checkpoints] == list(range(ROUNDS + 1))
    return history.task.checkpoint.sha256


def let_the_deadline_pass(fleet: Fleet, phones: list[Phone]) -> None:
    """One phone delivers, one does not, none comes; what was kept of earlier rounds goes."""
    store = store_of(fleet)
    phones[0].check_in()
    phones[1].check_in()
    phones[0].report(TOO_LONG)
    phones[0].upload()
    fleet.wait(SELECTION_S)

    def holds(history: TaskHistory) -> bool:
        with store.read() as view:
            spent = view.spent_updates(closed_by=fleet.now - KEEP_S, limit=1)
        return len(history.rounds) == 5 and not spent

    try:
        fleet.wait_until(holds)
    finally:
        store.close()


def crashing() -> ModuleType:
    path = Path(__file__).with_name("crashing.py")
    spec = importlib.util.spec_from_file_location("crashing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def store_of(fleet: Fleet) -> Store:
    return Store.open(fleet.database or file_url(fleet.data / "pocketfed.sqlite3"), connections=1)


@dataclass(frozen=True)
class Undisturbed:
    """What a server in this process comes to, without deaths and abandoned attempts."""

    artifact: Artifact
    sha256: str


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, rehearsal_in) -> Undisturbed:
    server = rehearsal_in(tmp_path_factory.mktemp("undisturbed"))
    start, deltas = work()
    artifact = server.make_artifact(server.folder / "artifact", start)
    server.admin.create_task(
        "task", artifact=artifact, population="phones", plan=PLAN, settings=SETTINGS
    )
    for round_ in deltas:
        for delta, examples in zip(round_, EXAMPLES, strict=True):
            server.phone().serve(delta, num_examples=examples)
    task = server.admin.history("task").task
    server.stop()
    assert task.committed == ROUNDS
    return Undisturbed(artifact, task.checkpoint.sha256)


@pytest.fixture
def begin(tmp_path) -> Iterator[Callable[..., Fleet]]:
    begun: list[Fleet] = []

    def start(deaths: Deaths, *, database: str = "", is_apart: bool = False) -> Fleet:
        begun.append(Fleet(tmp_path, database, deaths, is_apart=is_apart))
        return begun[-1]

    yield start
    for fleet in begun:
        fleet.abolish()


def rows_of(fleet: Fleet) -> Callable[[str], list[dict[str, Any]]]:
    url = fleet.database or file_url(fleet.data / "pocketfed.sqlite3")

    def rows(table: str) -> list[dict[str, Any]]:
        engine = create_engine(url)
        with engine.connect() as connection:
            found = connection.execute(text(f"SELECT * FROM {table}"))
            answer = [dict(row) for row in found.mappings()]
        engine.dispose()
        return answer

    return rows


def require_all_kept(fleet: Fleet) -> None:
    """Every acknowledged update counts, or its attempt was abandoned for a reason on record."""
    rows = rows_of(fleet)
    rounds = {row["id"]: row for row in rows("rounds")}
    found = [
        (row["number"], row["attempt"], row["phase"], row["reason"])
        for _, row in sorted(rounds.items())
    ]
    assert found == ATTEMPTS
    places = {row["id"]: rounds[row["round_id"]] for row in rows("assignments")}
    folded = {row["assignment_id"]: row["sha256"] for row in rows("contributions")}
    assert len(fleet.receipts) == 13
    for receipt in fleet.receipts:
        is_excused = places[receipt.assignment_id]["reason"] in ("guard", "too_few_devices")
        assert is_excused or folded[receipt.assignment_id] == receipt.sha256
    assert len(folded) == 9
    counts = [len(rows(table)) for table in ("tasks", "devices", "deposits", "updates", "leases")]
    assert counts == [1, 3, 3, 13, 0]


def require_nothing_left_over(fleet: Fleet) -> None:
    """After a sweep, every file is one that a row refers to, and every such file is there."""
    fleet.age_blobs()
    store = store_of(fleet)
    sweeper = Sweeper(store, FolderBlobs(fleet.data / "blobs"), every_s=1.0, keep_updates_s=KEEP_S)
    sweeper.run(fleet.now)
    with store.read() as view:
        needed = view.needed_blobs()
    store.close()
    assert fleet.blobs() == needed


def found(fleet: Fleet) -> list[Finding]:
    return audit(Config(data_dir=fleet.data, database=fleet.database, keep_updates_s=KEEP_S))


def require_sound(fleet: Fleet, point: str) -> None:
    """What a death leaves is right, but for updates kept too long: the next start releases them."""
    broken = [one for one in found(fleet) if one.violations]
    assert [one for one in broken if one.invariant.letter != "h"] == [], point


def require_nothing_to_find(fleet: Fleet) -> None:
    findings = found(fleet)
    assert [line for one in findings for line in one.violations] == []
    recomputed = [one.count for one in findings if one.invariant.looked_at == "rounds"]
    assert recomputed == [1]  # the bytes of the last round are still kept


def live_through(fleet: Fleet, undisturbed: Undisturbed) -> None:
    assert campaign(fleet, undisturbed.artifact) == undisturbed.sha256
    fleet.end()
    require_all_kept(fleet)
    require_nothing_to_find(fleet)
    require_nothing_left_over(fleet)


def test_every_point_has_its_turn() -> None:
    assert sorted(point for point, _ in EVERY) == sorted(crashing().POINTS)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_deaths_while_all_begins_lose_nothing(begin, undisturbed, request, database) -> None:
    with an_empty(database, request) as url:
        live_through(begin(BEGINNING, database=url), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_deaths_while_phones_deliver_lose_nothing(begin, undisturbed, database) -> None:
    live_through(begin(DELIVERY, database=database), undisturbed)


@pytest.mark.slow
def test_deaths_while_rounds_move_on_lose_nothing(begin, undisturbed) -> None:
    live_through(begin(COORDINATION), undisturbed)


@pytest.mark.slow
def test_deaths_of_a_coordinator_of_its_own_lose_nothing(begin, undisturbed, postgresql) -> None:
    live_through(begin(COORDINATION, database=postgresql, is_apart=True), undisturbed)


@contextmanager
def an_empty(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a PostgreSQL database without tables, or none for a file that is not there yet."""
    if kind == "sqlite":
        yield ""
        return
    cluster = request.getfixturevalue("cluster")
    url = cluster.create(template="template1")
    yield url
    cluster.drop(url)

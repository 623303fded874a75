"""A server that dies while a buffer holds a stale update, or while places go over to the next one.

Three phones fill three buffers of two; in the second and in the third one update is a version
behind, and one place outlives the commit of the second.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pocketfed.protocol.folding import Sgd
from pocketfed.protocol.plan import Buffering, Plan, RoundSettings
from pocketfed.server import Config
from pocketfed.server.operating.audit import audit


def _neighbour(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"neighbour_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


crash_points: Any = _neighbour("test_crash_points")
SETTINGS = RoundSettings(
    goal=2,
    rounds=3,
    report_timeout_s=1000.0,
    compute_timeout_s=900.0,
    upload_timeout_s=900.0,
    server_optimizer=Sgd(momentum=0.5),
    buffer=Buffering(concurrency=3),
)
PLAN = Plan(max_examples=100)
# Where to die and at which time there: the third update is the stale one, the second sum its.
DEATHS = (
    ("update: named", 3),
    ("upload: committed", 3),
    ("claim: committed", 2),
    ("fold: half", 4),
    ("checkpoint: before", 2),
    ("checkpoint: committed", 2),
)


def deliver(phone: Any, delta: Any) -> None:
    phone.report(delta)
    phone.upload()


def campaign(fleet: Any, artifact: Any) -> str:
    """Fills the buffers; returns the digest of the last checkpoint."""
    _, deltas = crash_points.work()
    fleet.ask(
        lambda: fleet.admin.create_task(
            "task", artifact=artifact, population="phones", plan=PLAN, settings=SETTINGS
        )
    )
    phones = [
        crash_points.Phone(fleet, number, examples)
        for number, examples in enumerate(crash_points.EXAMPLES)
    ]
    slow, one, other = phones
    for phone in phones:
        phone.enrol()
        phone.check_in()
    deliver(one, deltas[0][0])
    deliver(other, deltas[0][1])
    fleet.wait_until(lambda history: len(history.rounds) == 2)
    one.check_in()
    other.check_in()
    deliver(slow, deltas[1][0])
    deliver(one, deltas[1][1])
    fleet.wait_until(lambda history: len(history.rounds) == 3)
    slow.check_in()
    deliver(other, deltas[2][0])
    deliver(slow, deltas[2][1])
    fleet.wait_until(lambda history: history.task.status == "finished")
    history = fleet.ask(lambda: fleet.admin.history("task"))
    assert [one.mean_staleness for one in history.rounds] == [0.0, 0.5, 0.5]
    return str(history.task.checkpoint.sha256)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, rehearsal_in) -> Any:
    """What a server in this process comes to."""
    server = rehearsal_in(tmp_path_factory.mktemp("undisturbed"))
    start, deltas = crash_points.work()
    artifact = server.make_artifact(server.folder / "artifact", start)
    server.admin.create_task(
        "task", artifact=artifact, population="phones", plan=PLAN, settings=SETTINGS
    )
    phones = [server.phone() for _ in crash_points.EXAMPLES]
    numbers = dict(zip(map(id, phones), crash_points.EXAMPLES, strict=True))
    slow, one, other = phones
    for phone in phones:
        phone.check_in()
    for phone, delta in ((one, deltas[0][0]), (other, deltas[0][1])):
        phone.deliver(delta, num_examples=numbers[id(phone)])
    one.check_in()
    other.check_in()
    for phone, delta in ((slow, deltas[1][0]), (one, deltas[1][1])):
        phone.deliver(delta, num_examples=numbers[id(phone)])
    slow.check_in()
    for phone, delta in ((other, deltas[2][0]), (slow, deltas[2][1])):
        phone.deliver(delta, num_examples=numbers[id(phone)])
    task = server.admin.history("task").task
    server.stop()
    assert task.committed == 3
    return crash_points.Undisturbed(artifact, task.checkpoint.sha256)


@pytest.fixture
def begin(tmp_path) -> Iterator[Any]:
    begun: list[Any] = []

    def start(deaths: Any, *, database: str = "", is_apart: bool = False) -> Any:
        begun.append(crash_points.Fleet(tmp_path, database, deaths, is_apart=is_apart))
        return begun[-1]

    yield start
    for fleet in begun:
        fleet.abolish()


def live_through(fleet: Any, undisturbed: Any) -> None:
    assert campaign(fleet, undisturbed.artifact) == undisturbed.sha256
    fleet.end()
    folded = {row["assignment_id"] for row in crash_points.rows_of(fleet)("contributions")}
    assert folded == {receipt.assignment_id for receipt in fleet.receipts}
    kept = {"data_dir": fleet.data, "database": fleet.database}
    findings = audit(Config(**kept, keep_updates_s=crash_points.KEEP_S))
    assert [line for one in findings for line in one.violations] == []


@pytest.mark.slow
@pytest.mark.parametrize("death", DEATHS, ids=[point for point, _ in DEATHS])
def test_a_death_loses_no_stale_update_and_no_place(begin, undisturbed, death) -> None:
    live_through(begin((death,)), undisturbed)


@pytest.mark.slow
def test_deaths_of_a_coordinator_lose_no_place_in_postgresql(
    begin, undisturbed, postgresql
) -> None:
    deaths = (("claim: committed", 2), ("checkpoint: before", 1), ("checkpoint: committed", 1))
    live_through(begin(deaths, database=postgresql, is_apart=True), undisturbed)

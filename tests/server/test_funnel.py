"""The funnel adds up, survives a restart, and says why devices went no further."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.protocol import wire
from pocketfed.protocol.admin import FunnelStage, RoundPhase
from pocketfed.protocol.errors import (
    AssignmentExpired,
    NonFiniteDelta,
    NotAssigned,
    NotFound,
    ReportConflict,
    RoundClosed,
)
from pocketfed.protocol.messages import AssignmentState, Capabilities, CheckIn, Outcome, Report
from pocketfed.protocol.plan import EvaluationSettings, RoundKind
from pocketfed.server.migrations import upgrade
from pocketfed.server.store import Course
from pocketfed.server.watch.funnel import Funnels, evaluation_steps, steps
from sqlalchemy import create_engine

HOUR_S = 3600.0


def funnel(server, **window):
    return {step.stage.value: step for step in server.admin.funnel("task", **window).steps}


def reached(server, **window) -> dict[str, int]:
    return {stage: step.reached for stage, step in funnel(server, **window).items()}


COURSES = st.builds(
    Course,
    state=st.sampled_from(AssignmentState),
    reason=st.none() | st.just("compute"),
    has_reported=st.booleans(),
    phase=st.sampled_from([phase.value for phase in RoundPhase]),
    kind=st.sampled_from(RoundKind),
    devices=st.integers(1, 100),
)


@given(st.lists(COURSES, max_size=8), st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)))
def test_whatever_happened_each_step_follows_from_the_one_before(courses, rejections) -> None:
    found = steps(courses, rejections)
    assert [step.stage for step in found] == list(FunnelStage)
    for step, following in pairwise(found):
        assert step.reached - step.waiting - sum(step.lost.values()) == following.reached
    trained = sum(one.devices for one in courses if one.kind is RoundKind.TRAIN)
    assert found[0].reached == trained + sum(rejections.values())
    assert found[1].reached == trained


MEASURED_STATES = sorted(
    set(AssignmentState) - {AssignmentState.UPLOADED, AssignmentState.REPORTED}
)


@given(st.lists(COURSES.filter(lambda one: one.state in MEASURED_STATES), max_size=8))
def test_the_steps_of_measuring_follow_from_each_other_too(courses) -> None:
    found = evaluation_steps(courses)
    measured = [one.devices for one in courses if one.kind is RoundKind.EVALUATE]
    assert [step.stage for step in found] == (
        [FunnelStage.ASSIGNED, FunnelStage.REPORTED, FunnelStage.FOLDED] if measured else []
    )
    for step, following in pairwise(found):
        assert step.reached - step.waiting - sum(step.lost.values()) == following.reached
    assert sum(step.reached for step in found[:1]) == sum(measured)


def test_devices_that_measure_have_a_funnel_of_their_own(server) -> None:
    server.create_task(goal=1, over_selection=3.0, evaluation=EvaluationSettings(goal=2))
    server.phone().serve(server.delta(0.5))
    assert server.admin.funnel("task").evaluation_steps == ()
    message = CheckIn(client_version="1", capabilities=Capabilities(kinds=("evaluate",)))
    phones = [server.phone() for _ in range(3)]
    for phone in phones:
        phone.check_in(message=message)
    report = Report(outcome=Outcome.COMPLETED, num_examples=10, metrics={"loss": 0.5})
    phones[0].client.report(phones[0].place.assignment_id, report)
    on_the_way = server.admin.funnel("task")
    assert [(one.reached, one.waiting) for one in on_the_way.evaluation_steps] == [
        (3, 2),
        (1, 1),
        (0, 0),
    ]
    phones[1].client.report(phones[1].place.assignment_id, report)
    after = server.admin.funnel("task")
    assert [one.reached for one in after.evaluation_steps] == [3, 2, 2]
    assert after.evaluation_steps[0].lost == {"round_closed": 1}
    assert [one.reached for one in after.steps] == [1, 1, 1, 1, 1]


def test_a_measurement_of_an_abandoned_round_is_lost(server) -> None:
    server.create_task(goal=1, over_selection=3.0, evaluation=EvaluationSettings(goal=2))
    server.phone().serve(server.delta(0.5))
    message = CheckIn(client_version="1", capabilities=Capabilities(kinds=("evaluate",)))
    phone = server.phone()
    phone.check_in(message=message)
    report = Report(outcome=Outcome.COMPLETED, num_examples=10, metrics={"loss": 0.5})
    phone.client.report(phone.place.assignment_id, report)
    server.admin.stop("task")
    assert server.admin.funnel("task").evaluation_steps[1].lost == {"round_abandoned": 1}


def test_a_task_that_nobody_served_has_an_empty_funnel(server) -> None:
    server.create_task()
    assert set(reached(server).values()) == {0}


def test_the_funnel_of_no_task_is_not_found(server) -> None:
    with pytest.raises(NotFound):
        server.admin.funnel("task")


def test_devices_that_served_reach_the_end(server) -> None:
    server.create_task(goal=2)
    for value in (0.25, 0.5):
        server.phone().serve(server.delta(value))
    assert set(reached(server).values()) == {2}


def test_a_device_on_its_way_waits_at_its_step(server) -> None:
    server.create_task(goal=3)
    training, sending = server.phone(), server.phone()
    training.check_in()
    sending.check_in()
    sending.announce(server.body(0.5))
    server.phone().serve(server.delta(0.5))
    found = funnel(server)
    assert {stage: step.waiting for stage, step in found.items()} == {
        "checked_in": 0,
        "assigned": 1,
        "reported": 1,
        "uploaded": 1,
        "folded": 0,
    }


def test_a_lost_device_is_counted_with_its_reason(server) -> None:
    server.create_task(goal=5, over_selection=1.0, minimum_fraction=0.2)
    failed, aborted, slow, unsent = (server.phone() for _ in range(4))
    for phone in (failed, aborted, slow, unsent):
        phone.check_in()
    failed.client.report(failed.place.assignment_id, Report(outcome=Outcome.NOT_ELIGIBLE))
    aborted.client.abort(aborted.place.assignment_id)
    unsent.announce(server.body(0.5))
    server.clock.wait(60.0)
    server.admin.history("task")
    found = funnel(server)
    assert found["assigned"].lost == {"not_eligible": 1, "aborted": 1, "expired": 1}
    assert found["reported"].lost == {"expired": 1}
    assert found["folded"].reached == 0


def test_a_device_the_round_did_not_wait_for_is_late_or_silent(server) -> None:
    server.create_task(goal=1, over_selection=3.0)
    late, silent = server.phone(), server.phone()
    late.check_in()
    silent.check_in()
    server.phone().serve(server.delta(0.5))
    with pytest.raises(RoundClosed):
        late.announce(server.body(0.25))
    assert funnel(server)["assigned"].lost == {"late": 1, "round_closed": 1}


def test_an_update_of_an_abandoned_round_is_lost(server) -> None:
    server.create_task(goal=2, over_selection=1.0)
    server.phone().serve(server.delta(0.5))
    server.admin.stop("task")
    found = funnel(server)
    assert found["uploaded"].lost == {"round_abandoned": 1}
    assert found["folded"].reached == 0


def test_a_device_that_is_turned_away_is_remembered_over_a_restart(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    server.phone().check_in()
    for _ in range(3):
        server.phone().check_in()
    server.restart()
    server.phone().check_in()
    found = funnel(server)["checked_in"]
    assert (found.reached, found.lost) == (5, {"round_full": 4})


def test_a_place_that_is_handed_out_again_is_one_place(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    phone.check_in()
    assert reached(server)["checked_in"] == 1


def test_a_window_begins_with_its_hour(server) -> None:
    server.clock.now = 1000 * HOUR_S + 600.0
    server.create_task(goal=1, over_selection=1.0)
    server.phone().check_in()
    server.phone().check_in()
    server.clock.wait(HOUR_S)
    server.admin.history("task")
    server.phone().check_in()
    assert reached(server)["checked_in"] == 3
    assert reached(server, window_s=1.0)["checked_in"] == 1
    assert reached(server, window_s=HOUR_S)["checked_in"] == 3
    assert server.admin.funnel("task", window_s=1.0).since == 1001 * HOUR_S


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "soon", "9" * 30, ""])
def test_a_window_that_is_no_number_of_seconds_is_malformed(server, text) -> None:
    server.create_task()
    headers = {"Authorization": f"Bearer {server.server.admin_token}"}
    answer = server.http.get(f"/v1/admin/tasks/task/funnel?window_s={text}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_payload")


def test_refused_uploads_are_counted_by_code_and_task(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    body = wire.encode(server.delta(float("nan")))
    with pytest.raises(NonFiniteDelta):
        phone.client.upload(phone.announce(body), body)
    for _ in range(2):
        assert server.put_update(phone, server.body(0.5)).json()["code"] == ReportConflict.code
    server.create_task("other", population="others")
    assert server.admin.funnel("task").refused == {"non_finite_delta": 1, "report_conflict": 2}
    assert server.admin.funnel("other").refused == {}


def test_a_strangers_upload_is_not_counted(server) -> None:
    server.create_task()
    phone, stranger = server.phone(), server.phone()
    phone.check_in()
    stranger.assignment = phone.assignment
    assert server.put_update(stranger, server.body(0.5)).json()["code"] == NotAssigned.code
    assert server.admin.funnel("task").refused == {}
    assert server.rows("sightings") == []


def test_only_the_device_that_holds_the_place_is_counted(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    funnels = Funnels(store=server.server.coordinator._store, clock=server.clock)
    funnels.refuse("a stranger", phone.place.assignment_id, NonFiniteDelta("NaN"))
    funnels.refuse(phone.client.device.device_id, "nothing", NonFiniteDelta("NaN"))
    assert server.rows("sightings") == []
    funnels.refuse(phone.client.device.device_id, phone.place.assignment_id, NonFiniteDelta("NaN"))
    assert len(server.rows("sightings")) == 1


def test_a_refusal_is_answered_even_if_it_cannot_be_counted(server, monkeypatch) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    phone.announce(server.body(0.5))
    server.clock.wait(31.0)
    monkeypatch.setattr("pocketfed.server.watch.funnel.Funnels.refuse", _unavailable)
    answer = server.put_update(phone, server.body(0.5))
    assert answer.json()["code"] == AssignmentExpired.code


def _unavailable(*_: object) -> None:
    from pocketfed.protocol.errors import Unavailable

    raise Unavailable("the database failed")


def put_back(database: Path, revision: str) -> None:
    """Moves what a database holds to the tables of an older revision."""
    newer = database.rename(database.with_suffix(".newer"))
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        upgrade(connection, revision)
    engine.dispose()
    with closing(sqlite3.connect(database)) as older:
        older.execute("ATTACH ? AS newer", [str(newer)])
        names = older.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in names:
            if table == "alembic_version":
                continue
            columns = older.execute("SELECT name FROM pragma_table_info(?)", [table]).fetchall()
            kept = ", ".join(f'"{name}"' for (name,) in columns)
            older.execute(f"INSERT INTO main.{table} ({kept}) SELECT {kept} FROM newer.{table}")
        older.commit()


def test_a_data_folder_from_before_there_was_a_funnel_is_upgraded(server) -> None:
    server.create_task(goal=2)
    for value in (0.25, 0.5):
        server.phone().serve(server.delta(value))
    server.stop()
    put_back(server.data / "pocketfed.sqlite3", "0001")
    server.start()
    server.admin.stop("task")
    server.phone().check_in()
    assert reached(server) == {
        "checked_in": 3,
        "assigned": 2,
        "reported": 2,
        "uploaded": 2,
        "folded": 2,
    }


def test_the_command_prints_the_funnel(live, server) -> None:
    live.create_task(server.delta(1.0))
    live.phone().serve(server.delta(0.5))
    token = (live.data / "admin.token").read_text().strip()
    words = ["task", "funnel", "task", f"--server={live.url}", "--hours=1"]
    done = subprocess.run(
        [sys.executable, "-m", "pocketfed.cli", *words],
        env={**os.environ, "POCKETFED_ADMIN_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [line.split()[-4:] for line in lines if line.startswith("uploaded")] == [
        ["1", "100%", "1", "0"]
    ]

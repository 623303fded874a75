"""What Prometheus is told: events as they happened here, states as the database has them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.errors import NonFiniteDelta
from pocketfed.protocol.messages import Capabilities, CheckIn, Outcome, Report
from pocketfed.protocol.plan import EvaluationSettings
from prometheus_client.parser import text_string_to_metric_families

LAUNCHER = """
import pathlib, subprocess, sys
from pocketfed.server.watch import child_exit, share_metrics

worker, folder = sys.argv[1], pathlib.Path(sys.argv[2])
share_metrics(folder / "shared")
for number in range(3):
    running = subprocess.Popen(
        [sys.executable, "-c", worker, folder / str(number)], stdout=subprocess.PIPE, text=True
    )
    said = running.communicate()[0]
    child_exit(None, running)
print(said)
"""
WORKER = """
import pathlib, sys
from pocketfed.server import Config, create_app

asked = create_app(Config(data_dir=pathlib.Path(sys.argv[1]), coordinator="inline")).test_client()
asked.get("/healthz")
print(asked.get("/metrics").text)
"""


def samples(server) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus writes them."""
    answer = server.http.get("/metrics")
    assert answer.status_code == 200
    return read(answer.text)


def read(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_metrics_come_in_the_format_of_prometheus(server) -> None:
    answer = server.http.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE pocketfed_requests_total counter" in answer.text


def test_a_request_is_counted_by_its_route_and_not_by_its_path(server) -> None:
    server.http.get("/v1/assignments/abc", headers={"Authorization": "Bearer nobody"})
    found = samples(server)
    labels = "code=unauthenticated,method=GET,route=/v1/assignments/<assignment_id>,status=401"
    assert found[f"pocketfed_requests_total{{{labels}}}"] == 1
    assert not any("abc" in name for name in found)


def test_unknown_paths_and_methods_make_no_labels(server) -> None:
    server.http.request("BREW", "/pot/1")
    server.http.request("BREW", "/pot/2")
    labels = "code=not_found,method=other,route=none,status=404"
    assert samples(server)[f"pocketfed_requests_total{{{labels}}}"] == 2


def test_the_time_of_a_request_is_measured(rehearse) -> None:
    server = rehearse()
    server.http.get("/healthz")
    found = samples(server)
    assert found["pocketfed_request_duration_seconds_count{method=GET,route=/healthz}"] == 1
    assert found["pocketfed_request_duration_seconds_sum{method=GET,route=/healthz}"] > 0


def test_a_device_that_is_turned_away_is_counted_by_the_reason(server) -> None:
    server.create_task()
    server.admin.stop("task")
    server.phone().check_in()
    assert samples(server)["pocketfed_rejections_total{reason=no_task}"] == 1


def test_an_accepted_update_counts_its_bytes_once(server) -> None:
    server.create_task(goal=2)
    phone, body = server.phone(), server.body(0.5)
    phone.check_in()
    phone.announce(body)
    assert server.put_update(phone, body).status_code == 201
    assert server.put_update(phone, body).status_code == 200
    assert samples(server)["pocketfed_uploaded_bytes_total{}"] == len(body)


def test_a_refused_upload_is_counted_by_its_code(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    body = wire.encode(server.delta(float("nan")))
    with pytest.raises(NonFiniteDelta):
        phone.client.upload(phone.announce(body), body)
    found = samples(server)
    assert found["pocketfed_refused_uploads_total{code=non_finite_delta}"] == 1
    assert "pocketfed_uploaded_bytes_total{}" in found


def test_a_fold_counts_its_updates_and_its_time(server) -> None:
    server.create_task(goal=2)
    for value in (0.25, 0.5):
        server.phone().serve(server.delta(value))
    found = samples(server)
    assert found["pocketfed_folded_updates_total{}"] == 2
    assert found["pocketfed_fold_duration_seconds_count{}"] == 1


def test_states_are_those_of_the_database(server) -> None:
    server.create_task(goal=2, over_selection=2.0)
    for value in (0.25, 0.5):
        server.phone().serve(server.delta(value))
    server.phone().check_in()
    found = samples(server)
    assert found["pocketfed_database_up{}"] == 1
    assert found["pocketfed_disk_free_bytes{}"] > 0
    assert found["pocketfed_devices{}"] == 3
    assert found["pocketfed_placed_devices{}"] == 3
    assert found["pocketfed_checkpoint_version{task=task}"] == 1
    assert found["pocketfed_rounds{kind=train,phase=committed,task=task}"] == 1
    assert found["pocketfed_rounds{kind=train,phase=selecting,task=task}"] == 1
    assert found["pocketfed_places{kind=train,state=assigned,task=task}"] == 1
    assert found["pocketfed_places{kind=train,state=folded,task=task}"] == 0
    assert found["pocketfed_round_goal{kind=train,task=task}"] == 2
    assert found["pocketfed_round_accepted{kind=train,task=task}"] == 0
    assert found["pocketfed_round_opened_timestamp_seconds{kind=train,task=task}"] == server.clock()
    assert found["pocketfed_task_status{status=running,task=task}"] == 1
    assert found["pocketfed_task_status{status=stopped,task=task}"] == 0


def test_rounds_of_both_kinds_are_told_apart(server) -> None:
    server.create_task(goal=1, over_selection=3.0, evaluation=EvaluationSettings(goal=2))
    server.phone().serve(server.delta(0.5))
    server.phone().check_in()
    capabilities = Capabilities(kinds=("evaluate",))
    server.phone().check_in(message=CheckIn(client_version="1", capabilities=capabilities))
    phone = server.phone()
    phone.check_in(message=CheckIn(client_version="1", capabilities=capabilities))
    report = Report(outcome=Outcome.COMPLETED, num_examples=10, metrics={"loss": 0.5})
    phone.client.report(phone.place.assignment_id, report)
    found = samples(server)
    assert found["pocketfed_rounds{kind=train,phase=committed,task=task}"] == 1
    assert found["pocketfed_rounds{kind=evaluate,phase=committed,task=task}"] == 0
    assert found["pocketfed_rounds{kind=evaluate,phase=selecting,task=task}"] == 1
    assert found["pocketfed_places{kind=train,state=assigned,task=task}"] == 1
    assert found["pocketfed_places{kind=evaluate,state=assigned,task=task}"] == 1
    assert found["pocketfed_places{kind=evaluate,state=measured,task=task}"] == 1
    assert found["pocketfed_round_goal{kind=train,task=task}"] == 1
    assert found["pocketfed_round_goal{kind=evaluate,task=task}"] == 2
    assert found["pocketfed_round_accepted{kind=train,task=task}"] == 0
    assert found["pocketfed_round_accepted{kind=evaluate,task=task}"] == 1


def test_a_restart_changes_no_state(server) -> None:
    server.create_task(goal=2)
    for value in (0.25, 0.5):
        server.phone().serve(server.delta(value))
    before = samples(server)
    server.restart()
    after = samples(server)
    states = [name for name in before if name.startswith(("pocketfed_rounds", "pocketfed_places"))]
    assert states
    assert {name: before[name] for name in states} == {name: after[name] for name in states}
    assert after["pocketfed_folded_updates_total{}"] == 0


def test_devices_of_long_ago_are_known_but_no_longer_placed(server) -> None:
    server.create_task(rounds=1, goal=1)
    server.phone().serve(server.delta(0.5))
    server.clock.wait(25 * 3600.0)
    found = samples(server)
    assert (found["pocketfed_devices{}"], found["pocketfed_placed_devices{}"]) == (1, 0)


def test_without_its_database_a_server_still_has_metrics(server) -> None:
    store = server.server.coordinator._store
    store.close()
    database = server.data / "pocketfed.sqlite3"
    database.rename(database.with_suffix(".gone"))
    database.mkdir()
    found = samples(server)
    assert found["pocketfed_database_up{}"] == 0
    assert "pocketfed_devices{}" not in found


def test_metrics_may_ask_for_a_token(rehearse) -> None:
    server = rehearse(metrics_token="watcher")
    assert server.http.get("/metrics").json()["code"] == "unauthenticated"
    wrong = {"Authorization": f"Bearer {server.server.admin_token}"}
    assert server.http.get("/metrics", headers=wrong).status_code == 401
    right = {"Authorization": "Bearer watcher"}
    assert server.http.get("/metrics", headers=right).status_code == 200


@pytest.mark.slow
def test_processes_that_share_their_counts_answer_with_the_sum(tmp_path) -> None:
    """A launcher and three workers, one after the other; the last one is asked."""
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, WORKER, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = read(done.stdout)
    assert found["pocketfed_requests_total{code=,method=GET,route=/healthz,status=200}"] == 3
    assert found["pocketfed_devices{}"] == 0
    assert list((tmp_path / "shared").glob("counter_*.db"))

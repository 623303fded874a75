"""The operator's requests: blobs, tasks, lists and histories."""

import numpy as np
import pytest
from pocketfed.client import AdminClient
from pocketfed.protocol import wire
from pocketfed.protocol.admin import CreateTask, RoundPhase, TaskStatus
from pocketfed.protocol.errors import ImplausibleReport, NameTaken, NotFound, Unauthenticated
from pocketfed.protocol.plan import Plan


def put(server, sha256, content, **headers):
    fields = {"Authorization": f"Bearer {server.server.admin_token}", **headers}
    return server.http.put(f"/v1/admin/blobs/{sha256}", content=content, headers=fields)


def message(server, **changes):
    blobs = [server.admin._put_blob(body) for body in (b"model", b"manifest", server.body(1.0))]
    fields = {
        "name": "task",
        "population": "phones",
        "plan": Plan(max_examples=100),
        "settings": server.settings(),
        "spec": server.spec.entries,
        **dict(zip(("model_sha256", "manifest_sha256", "checkpoint_sha256"), blobs, strict=True)),
    }
    return CreateTask(**{**fields, **changes})


def create(server, wanted):
    headers = {"Authorization": f"Bearer {server.server.admin_token}"}
    return server.http.post("/v1/admin/tasks", content=wanted.to_json(), headers=headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "tasks"),
        ("POST", "tasks"),
        ("GET", "tasks/x"),
        ("POST", "tasks/x/stop"),
        ("PUT", "blobs/" + "0" * 64),
    ],
)
def test_only_the_operators_token_opens_the_operators_side(server, method, path) -> None:
    phone = server.phone()
    assert server.http.request(method, f"/v1/admin/{path}").status_code == 401
    assert server.request(method, f"/v1/admin/{path}", phone=phone).status_code == 401
    stranger = AdminClient(server.session(), token="0" * 64)
    with pytest.raises(Unauthenticated):
        stranger.tasks()


def test_bytes_are_put_once(server) -> None:
    sha256 = wire.sha256(b"bytes")
    assert put(server, sha256, b"bytes").status_code == 201
    before = server.everything()
    assert put(server, sha256, b"bytes").status_code == 200
    assert server.everything() == before


@pytest.mark.parametrize(
    ("sha256", "content", "headers", "expected"),
    [
        ("0" * 64, b"bytes", {}, (400, "digest_mismatch")),
        ("short", b"bytes", {}, (400, "malformed_payload")),
        ("0" * 64, b"bytes", {"Content-Length": "9"}, (400, "truncated_body")),
        ("0" * 64, b"bytes", {"Content-Length": "none"}, (411, "length_required")),
        ("0" * 64, b"x" * 2001, {}, (413, "payload_too_large")),
    ],
)
def test_other_bytes_than_named_are_refused(rehearse, sha256, content, headers, expected) -> None:
    server = rehearse(max_blob_bytes=2000)
    before = server.everything()
    answer = put(server, sha256, content, **headers)
    assert (answer.status_code, answer.json()["code"]) == expected
    assert server.everything() == before


def test_a_new_task_selects_for_round_one(server) -> None:
    summary = server.create_task()
    assert (summary.status, summary.committed) == (TaskStatus.RUNNING, 0)
    assert summary.checkpoint.version == 0
    assert summary.current is not None
    assert (summary.current.round, summary.current.phase) == (1, RoundPhase.SELECTING)
    assert (summary.current.goal, summary.current.minimum, summary.current.capacity) == (2, 1, 3)


def test_the_same_task_again_is_the_task_that_is_there(server) -> None:
    wanted = message(server)
    assert create(server, wanted).status_code == 201
    before = server.everything()
    again = create(server, wanted)
    assert (again.status_code, again.json()["name"]) == (200, "task")
    assert server.everything() == before


def test_another_task_of_the_same_name_is_refused(server) -> None:
    server.create_task()
    with pytest.raises(NameTaken):
        server.create_task(goal=3)


@pytest.mark.parametrize("field", ["model_sha256", "manifest_sha256", "checkpoint_sha256"])
def test_a_task_without_its_bytes_is_refused(server, field) -> None:
    answer = create(server, message(server, **{field: "0" * 64}))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert server.rows("tasks") == []


def test_an_update_cannot_become_a_task(server) -> None:
    server.create_task()
    receipt = server.phone().serve(server.delta(0.5))
    answer = create(server, message(server, name="theft", checkpoint_sha256=receipt.sha256))
    assert answer.status_code == 404


@pytest.mark.parametrize("fault", ["short", "renamed", "nan"])
def test_a_checkpoint_of_another_spec_is_refused(server, fault) -> None:
    body = bytearray(server.body(1.0))
    if fault == "short":
        body = body[:-4]
    elif fault == "renamed":
        body[12] ^= 1
    else:
        body[-4:] = np.float32(np.nan).tobytes()
    sha256 = server.admin._put_blob(bytes(body))
    answer = create(server, message(server, checkpoint_sha256=sha256))
    assert (answer.status_code, answer.json()["code"]) == (422, "spec_mismatch")
    assert server.rows("tasks") == []


@pytest.mark.parametrize(
    ("goal", "max_examples", "is_taken"),
    [(2**22, 3, True), (2**22, 4, False), (10**400, 1, False)],
)
def test_settings_that_could_overflow_the_sum_are_refused(
    server, goal, max_examples, is_taken
) -> None:
    changes = {"goal": goal, "over_selection": 1.0, "plan": Plan(max_examples=max_examples)}
    if is_taken:
        assert server.create_task(**changes).settings.goal == goal
        return
    with pytest.raises(ImplausibleReport, match="16777216"):
        server.create_task(**changes)


def test_tasks_are_listed_in_the_order_they_were_made(server) -> None:
    server.create_task("b")
    server.create_task("a")
    assert [task.name for task in server.admin.tasks().tasks] == ["b", "a"]


def test_an_unknown_task_is_not_found(server) -> None:
    for ask in (server.admin.history, server.admin.stop):
        with pytest.raises(NotFound):
            ask("nothing")


def test_a_name_that_leaves_the_path_is_malformed(server) -> None:
    wanted = message(server).to_json().replace(b'"name":"task"', b'"name":"../task"')
    headers = {"Authorization": f"Bearer {server.server.admin_token}"}
    answer = server.http.post("/v1/admin/tasks", content=wanted, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_payload")

"""The log has a line for each request and each change, and never a secret."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from pocketfed.protocol.errors import RoundClosed
from pocketfed.server.watch.logs import NAME, handler_of


@pytest.fixture
def lines() -> Iterator[Callable[..., list[dict]]]:
    """Everything that is logged, as JSON; filtered by the facts that are given."""
    stream = io.StringIO()
    handler = handler_of(stream, log_format="json")
    loggers = [logging.getLogger(NAME), logging.getLogger("absl")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)

    def read(**facts: object) -> list[dict]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in found if facts.items() <= line.items()]

    read.text = stream.getvalue  # type: ignore[attr-defined]
    yield read
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_a_request_is_one_line(server, lines) -> None:
    server.http.get("/v1/nothing")
    (line,) = lines(event="request")
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")
    assert (line["method"], line["route"], line["status"]) == ("GET", "none", 404)
    assert line["code"] == "not_found"
    assert line["duration_ms"] > 0


def test_a_request_id_that_is_a_plain_word_is_kept(server, lines) -> None:
    answer = server.http.get("/v1/nothing", headers={"X-Request-ID": "edge-7.1"})
    assert answer.headers["X-Request-ID"] == "edge-7.1"
    assert lines(request_id="edge-7.1")


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"}{'])
def test_a_request_id_that_is_no_plain_word_is_replaced(server, lines, given) -> None:
    answer = server.http.get("/v1/nothing", headers={"X-Request-ID": given.encode()})
    made = answer.headers["X-Request-ID"]
    assert made != given
    assert lines(request_id=made)


def test_two_requests_have_two_ids(server) -> None:
    first, second = (server.http.get("/v1/nothing").headers["X-Request-ID"] for _ in range(2))
    assert first != second


def test_an_upload_names_task_round_attempt_and_assignment(server, lines) -> None:
    server.create_task(goal=1, over_selection=1.0)
    phone = server.phone()
    phone.serve(server.delta(0.5))
    about = {
        "task": "task",
        "kind": "train",
        "round": 1,
        "attempt": 1,
        "assignment": phone.place.assignment_id,
    }
    for route in ("check-ins", "report", "update"):
        found = [line for line in lines(event="request", **about) if route in line["route"]]
        assert len(found) == 1, route


def test_a_rejection_says_why(server, lines) -> None:
    server.create_task()
    server.admin.stop("task")
    server.phone().check_in()
    assert lines(event="request", reason="no_task", population="phones")


def test_a_request_forgets_the_one_before(server, lines) -> None:
    server.create_task()
    server.phone().check_in()
    server.http.get("/v1/nothing")
    assert "task" not in lines(event="request", route="none")[0]


def test_every_change_of_a_round_is_a_line_of_the_request_that_caused_it(server, lines) -> None:
    server.create_task(goal=1, over_selection=1.0)
    server.phone().serve(server.delta(0.5))
    first = [line["state"] for line in lines(task="task", round=1) if "state" in line]
    rounds = [state for state in first if not state.startswith(("ass", "rep", "upl", "fol"))]
    assert rounds == ["selecting", "aggregating", "committed"]
    (reporting,) = lines(event="round is reporting")
    assert lines(event="request", request_id=reporting["request_id"])


def test_an_abandoned_round_says_why(server, lines) -> None:
    server.create_task()
    server.admin.stop("task")
    assert lines(event="round is abandoned", reason="stopped", task="task", round=1)
    assert lines(event="task is stopped", task="task")


def test_what_is_rolled_back_leaves_no_line(server, lines, monkeypatch) -> None:
    server.create_task()
    before = len(lines(task="task"))
    monkeypatch.setattr("pocketfed.server.operating.control.summary", lambda *_: 1 / 0)
    headers = {"Authorization": f"Bearer {server.server.admin_token}"}
    assert server.http.post("/v1/admin/tasks/task/stop", headers=headers).status_code == 500
    assert [line for line in lines(task="task")[before:] if "state" in line] == []


def test_a_failure_has_its_trace_and_its_request(server, lines, monkeypatch) -> None:
    monkeypatch.setattr("pocketfed.server.trust.devices.token_digest", lambda _: 1 / 0)
    answer = server.http.post("/v1/devices", content=b'{"client_version":"1"}')
    (line,) = lines(logger="absl")
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert "ZeroDivisionError" in line["exception"]
    assert lines(event="request", status=500, level="warning")


def test_no_line_holds_a_token_or_a_body(server, lines) -> None:
    server.create_task(goal=1, over_selection=2.0)
    phone, late = server.phone(), server.phone()
    late.check_in()
    phone.serve(server.delta(0.5))
    with pytest.raises(RoundClosed):
        late.announce(server.body(0.25))
    server.http.post("/admin/login", data={"token": server.server.admin_token})
    text = lines.text()  # type: ignore[attr-defined]
    assert len(text) > 1000
    for secret in (phone.token, late.token, server.server.admin_token):
        assert secret not in text
    assert "num_examples" not in text


def test_what_stands_in_a_path_cannot_forge_a_line(server, lines) -> None:
    server.http.get(
        "/v1/assignments/a%0A%7B%22level%22:1%7D", headers={"Authorization": "Bearer x"}
    )
    (line,) = lines(event="request")
    assert "assignment" not in line


def test_probes_are_quiet(server, lines) -> None:
    server.http.get("/healthz")
    assert lines(event="request", level="debug", route="/healthz")


def test_text_is_for_people() -> None:
    stream = io.StringIO()
    logger = logging.getLogger("pocketfed.test")
    handler = handler_of(stream, log_format="text")
    logger.addHandler(handler)
    logger.warning("a lamp is %s", "lit")
    logger.removeHandler(handler)
    assert "a lamp is lit" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_served_log_is_json_whatever_writes_it() -> None:
    script = (
        "import sys, logging\n"
        "from absl import logging as absl\n"
        "from pocketfed.server.watch import log_to\n"
        "absl.use_absl_handler()\n"
        "log_to(sys.stderr, log_format='json', log_level='info')\n"
        "absl.info('from absl')\n"
        "logging.getLogger('waitress').warning('from waitress')\n"
        "logging.getLogger('pocketfed').debug('not said')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["logger"], line["event"]) for line in said] == [
        ("absl", "from absl"),
        ("waitress", "from waitress"),
    ]

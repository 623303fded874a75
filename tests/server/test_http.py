"""Everything that goes wrong is a problem document that the tree of errors knows."""

import pytest
from pocketfed.protocol.errors import PocketFedError
from pocketfed.protocol.problems import Problem, from_problem


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", (404, "not_found")),
        ("GET", "/v1/nothing", (404, "not_found")),
        ("GET", "/v1/devices", (405, "method_not_allowed")),
        ("POST", "/v1/devices", (400, "malformed_payload")),
    ],
)
def test_what_http_refuses_is_a_problem(server, method, path, expected) -> None:
    answer = server.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == expected
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert isinstance(from_problem(Problem(**answer.json())), PocketFedError)


def test_a_wrong_method_says_which_are_right(server) -> None:
    assert "POST" in server.http.get("/v1/devices").headers["Allow"]


def test_a_message_of_more_than_a_mebibyte_is_too_large(server) -> None:
    answer = server.http.post("/v1/devices", content=b" " * (1024**2 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


def test_a_message_that_ends_early_is_truncated(server) -> None:
    content = b'{"client_version":"1"}'
    answer = server.http.post("/v1/devices", content=content, headers={"Content-Length": "90"})
    assert (answer.status_code, answer.json()["code"]) == (400, "truncated_body")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"client_version":1}', b'{"client_version":"\xff"}', b"\x80\x04}"],
)
def test_what_is_no_message_is_malformed(server, content) -> None:
    answer = server.http.post("/v1/devices", content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_payload")


def test_a_failure_of_the_server_leaks_nothing(server, monkeypatch, caplog) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr("pocketfed.server.trust.devices.token_digest", fail)
    answer = server.http.post("/v1/devices", content=b'{"client_version":"1"}')
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "42" not in answer.text


def test_the_probes_need_no_token(server) -> None:
    assert server.http.get("/healthz").status_code == 200
    assert server.http.get("/readyz").status_code == 200


def test_a_server_without_its_database_is_alive_but_not_ready(server, monkeypatch) -> None:
    server.restart()
    store = server.server.coordinator._store
    store.close()
    database = server.data / "pocketfed.sqlite3"
    database.rename(database.with_suffix(".gone"))
    database.mkdir()
    assert server.http.get("/healthz").status_code == 200
    answer = server.http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")

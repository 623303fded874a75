"""The operator's page: who is let in, what a session may do, and what travels with each answer."""

from __future__ import annotations

import re

import pytest
from pocketfed.server.web.login import LIFETIME_S, Login

COOKIE = "pocketfed_operator"


def log_in(server, token: str | None = None):
    """Posts the form as a browser does; the client keeps the cookie."""
    data = {"token": server.server.admin_token if token is None else token}
    return server.http.post("/admin/login", data=data)


def test_a_stranger_sees_the_log_in(server) -> None:
    answer = server.http.get("/admin")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert 'name="token"' in answer.text
    assert "page.js" not in answer.text


def test_the_operators_token_opens_the_page(server) -> None:
    answer = log_in(server)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")
    assert "page.js" in server.http.get("/admin").text


@pytest.mark.parametrize("token", ["", "wrong", "ü", "x" * 10_000])
def test_another_token_does_not(server, token) -> None:
    answer = log_in(server, token)
    assert answer.status_code == 401
    assert "not the operator" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert 'name="token"' in server.http.get("/admin").text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(server) -> None:
    cookie = log_in(server).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert server.server.admin_token not in cookie


def test_the_cookie_is_secure_over_https(server) -> None:
    token = server.server.admin_token
    answer = server.http.post("https://server/admin/login", data={"token": token})
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_session_reads_what_the_operator_reads(server) -> None:
    summary = server.create_task()
    log_in(server)
    assert server.http.get("/v1/admin/tasks").json()["tasks"][0]["name"] == "task"
    assert server.http.get("/v1/admin/tasks/task/funnel").status_code == 200
    assert len(server.http.get(summary.checkpoint.url).content) == summary.checkpoint.bytes


def test_a_session_changes_nothing(server) -> None:
    server.create_task()
    log_in(server)
    assert server.http.post("/v1/admin/tasks/task/stop").status_code == 401
    assert server.http.put("/v1/admin/blobs/" + "0" * 64, content=b"").status_code == 401
    assert server.admin.tasks().tasks[0].status == "running"


def test_a_session_is_no_device(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    log_in(server)
    path = f"/v1/assignments/{phone.place.assignment_id}"
    assert server.http.get(path).status_code == 401


def test_a_wrong_bearer_token_is_not_helped_by_a_session(server) -> None:
    log_in(server)
    headers = {"Authorization": "Bearer wrong"}
    assert server.http.get("/v1/admin/tasks", headers=headers).status_code == 401


def test_logging_out_forgets_the_session(server) -> None:
    log_in(server)
    assert server.http.post("/admin/logout").status_code == 303
    assert server.http.get("/v1/admin/tasks").status_code == 401


def test_a_session_ends_by_itself(server) -> None:
    log_in(server)
    server.clock.wait(LIFETIME_S - 1)
    assert server.http.get("/v1/admin/tasks").status_code == 200
    server.clock.wait(1)
    assert server.http.get("/v1/admin/tasks").status_code == 401


def test_a_session_lives_through_a_restart_of_the_server(server) -> None:
    session = log_in(server).cookies[COOKIE]
    server.restart()
    server.http.cookies.set(COOKIE, session)
    assert server.http.get("/v1/admin/tasks").status_code == 200


def test_another_operators_token_ends_every_session() -> None:
    def clock() -> float:
        return 1000.0

    session = Login("first", clock=clock).issue()
    assert Login("first", clock=clock).is_valid(session)
    assert not Login("second", clock=clock).is_valid(session)


@pytest.mark.parametrize(
    "forge",
    [
        lambda session: "",
        lambda session: session.split(".")[0],
        lambda session: session.split(".")[0] + ".",
        lambda session: "9" + session,
        lambda session: session[:-1] + ("0" if session[-1] != "0" else "1"),
        lambda session: "9" * 5000 + "." + "0" * 64,
        lambda session: "٩٩٩٩٩٩٩٩٩." + "0" * 64,
        lambda session: session + "é",
    ],
)
def test_a_forged_session_is_none(forge) -> None:
    login = Login("token", clock=lambda: 1000.0)
    assert login.is_valid(login.issue())
    assert not login.is_valid(forge(login.issue()))


@pytest.mark.parametrize("path", ["/admin", "/admin/static/page.js", "/admin/static/page.css"])
def test_the_policy_lets_nothing_in_from_elsewhere(server, path) -> None:
    answer = server.http.get(path)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_names_nothing_outside_the_server(server) -> None:
    log_in(server)
    texts = [server.http.get("/admin").text]
    parts = set(re.findall(r'"(/admin/static/[^"]+)"', texts[0]))
    assert len(parts) == 3
    parts |= {f"/admin/static/{name}.js" for name in ("dom", "draw", "parts")}
    for part in parts:
        answer = server.http.get(part)
        assert answer.status_code == 200
        texts.append(answer.text)
    addresses = {one for text in texts for one in re.findall(r"https?://[^\s\"']+", text)}
    assert addresses == {"http://www.w3.org/2000/svg"}


def test_the_static_folder_gives_nothing_else(server) -> None:
    assert server.http.get("/admin/static/../templates/page.html").status_code == 404
    assert server.http.get("/admin/static/%2e%2e/templates/page.html").status_code == 404

"""Downloads: resumable, cacheable for ever, and only of what a task offers."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from pocketfed import cli
from pocketfed.protocol import wire


@pytest.fixture
def phone(server):
    server.create_task()
    phone = server.phone()
    phone.check_in()
    return phone


def get(server, phone, **headers):
    return server.request("GET", phone.place.model.url, phone=phone, headers=headers)


def test_a_download_may_be_cached_for_ever_and_resumed(server, phone) -> None:
    answer = get(server, phone)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{phone.place.model.sha256}"'
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert wire.sha256(answer.content) == phone.place.model.sha256


def test_a_range_is_answered_with_the_missing_bytes(server, phone) -> None:
    whole = get(server, phone).content
    answer = get(server, phone, Range="bytes=100-", **{"If-Range": f'"{wire.sha256(whole)}"'})
    assert (answer.status_code, answer.content) == (206, whole[100:])
    assert answer.headers["Content-Range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"


def test_a_range_of_other_bytes_is_answered_with_all(server, phone) -> None:
    answer = get(server, phone, Range="bytes=100-", **{"If-Range": '"other"'})
    assert (answer.status_code, len(answer.content)) == (200, phone.place.model.bytes)


def test_a_known_etag_is_answered_with_304(server, phone) -> None:
    answer = get(server, phone, **{"If-None-Match": f'"{phone.place.model.sha256}"'})
    assert (answer.status_code, answer.content) == (304, b"")


def test_a_range_beyond_the_end_is_a_problem(server, phone) -> None:
    answer = get(server, phone, Range="bytes=100000-")
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_an_operator_may_download_too(server) -> None:
    summary = server.create_task()
    assert len(server.admin.download(summary.checkpoint)) == summary.checkpoint.bytes


def test_a_stranger_may_not(server, phone) -> None:
    assert server.http.get(phone.place.model.url).status_code == 401
    headers = {"Authorization": "Bearer nobody"}
    assert server.http.get(phone.place.model.url, headers=headers).status_code == 401


def test_an_update_cannot_be_downloaded(server, phone) -> None:
    receipt = phone.deliver(server.delta(0.5))
    assert receipt.sha256 in server.blobs()
    answer = server.request("GET", f"/v1/blobs/{receipt.sha256}", phone=phone)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_bytes_that_no_task_offers_cannot_be_downloaded(server, phone) -> None:
    sha256 = server.admin._put_blob(b"not part of a task")
    assert server.request("GET", f"/v1/blobs/{sha256}", phone=phone).status_code == 404


@pytest.mark.parametrize(
    "path", ["../admin.token", "..%2fadmin.token", "%2e%2e%2fadmin.token", "%2fetc%2fpasswd", "."]
)
def test_no_path_leads_out_of_the_folder(server, phone, path) -> None:
    answer = server.request("GET", f"/v1/blobs/{path}", phone=phone)
    assert answer.status_code == 404
    assert server.server.admin_token.encode() not in answer.content


def test_a_relative_data_folder_serves_downloads_too(server, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = type(server)(folder=Path("relative"))
    try:
        summary = other.create_task()
        assert len(other.admin.download(summary.checkpoint)) == summary.checkpoint.bytes
    finally:
        other.stop()


def test_the_command_task_checkpoint_writes_the_newest_weights(
    server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = server.create_task().checkpoint
    monkeypatch.setattr("pocketfed.cli.operating.admin_of", lambda _: nullcontext(server.admin))
    out = tmp_path / "newest.safetensors"
    assert cli.main(["pocketfed", "task", "checkpoint", "task", f"--out={out}"]) == 0
    assert wire.sha256(out.read_bytes()) == newest.sha256
    assert "checkpoint 0 of task" in capsys.readouterr().out

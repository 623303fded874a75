"""Rounds whose bytes lie in S3: devices put and get them there, and the server counts them."""

import httpx
import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.errors import (
    AssignmentExpired,
    ImplausibleReport,
    NonFiniteDelta,
    RoundClosed,
    SpecMismatch,
    Unavailable,
)
from pocketfed.protocol.messages import AssignmentState
from pocketfed.protocol.weights import WeightSpec
from pocketfed.server.blobs.direct import S3Direct
from pocketfed.server.blobs.s3 import S3Blobs
from pocketfed.server.store import Writing


class Killed(BaseException):
    """The process ends here."""


def die(*arguments, **named):
    raise Killed


@pytest.fixture
def server(rehearse, bucket):
    server = rehearse(blobs=bucket.location)
    server.create_task()
    return server


@pytest.fixture
def phone(server):
    phone = server.phone()
    phone.check_in()
    return phone


def put(server, instruction, body) -> int:
    """What a device does before it commits."""
    headers = {**instruction.headers, "Content-Length": str(len(body))}
    return server.http_to_store.put(instruction.url, content=body, headers=headers).status_code


@pytest.fixture(autouse=True)
def http_to_store(server):
    with httpx.Client() as client:
        server.http_to_store = client
        yield


def commit(server, phone):
    path = f"/v1/assignments/{phone.place.assignment_id}/commit"
    return server.request("POST", path, phone=phone)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_an_instruction_is_signed_for_one_key_length_and_digest(server, phone, bucket) -> None:
    body = server.body(0.5)
    instruction = phone.announce(body)
    assert instruction.url.startswith(
        f"{bucket.url}/{bucket.name}/fleet/staging/{phone.place.assignment_id}?"
    )
    signed = "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bx-amz-checksum-sha256"
    assert signed in instruction.url
    assert "X-Amz-Expires=30&" in instruction.url
    digest = wire.content_digest(wire.sha256(body)).removeprefix("sha-256=:").rstrip(":")
    assert instruction.headers == {
        "Content-Type": wire.MEDIA_TYPE,
        "Content-Length": "208",
        "x-amz-checksum-sha256": digest,
    }
    assert instruction.commit_url == f"/v1/assignments/{phone.place.assignment_id}/commit"


def test_a_round_of_presigned_uploads_counts_every_update(server, bucket) -> None:
    server.phone().serve(server.delta(0.5), num_examples=10)
    assert len(bucket.names("blobs")) == 4
    server.phone().serve(server.delta(1.0), num_examples=30)
    assert np.array_equal(server.weights(), np.full(16, 1.875, np.float32))
    assert bucket.names("staging") == set()
    offered = {row["sha256"] for row in server.rows("checkpoints") + server.rows("deposits")}
    assert bucket.names("blobs") == offered


@pytest.mark.parametrize("presign", [True, False])
def test_the_weights_are_those_of_a_server_with_a_folder(rehearse, bucket, presign) -> None:
    ends = []
    for changes in ({}, {"blobs": bucket.location, "presign": presign}):
        server = rehearse(**changes)
        server.create_task("same", rounds=2)
        rng = np.random.default_rng(3)
        for _ in range(4):
            delta = server.delta(0.0)
            delta.vector[:] = rng.normal(0.0, 0.1, 16)
            server.phone().serve(delta, num_examples=int(rng.integers(1, 100)))
        history = server.admin.history("same")
        assert history.task.committed == 2
        ends.append((history.task.checkpoint.sha256, server.weights("same").tobytes()))
    assert ends[0] == ends[1]


def test_a_commit_is_acknowledged_when_the_update_counts(server, phone, bucket) -> None:
    body = server.body(0.5)
    assert put(server, phone.announce(body), body) == 200
    assert server.rows("updates") == []
    answer = commit(server, phone)
    assert answer.status_code == 201
    assert answer.json() == {
        "assignment_id": phone.place.assignment_id,
        "sha256": wire.sha256(body),
        "bytes": len(body),
    }
    assert wire.sha256(body) in bucket.names("blobs")
    again = commit(server, phone)
    assert (again.status_code, again.json()) == (200, answer.json())
    assert len(server.rows("updates")) == 1


def test_a_commit_without_a_put_says_what_is_missing(server, phone) -> None:
    phone.announce(server.body(0.5))
    before = server.rows("history")
    answer = commit(server, phone)
    assert code(answer) == (409, "upload_missing")
    assert "put the body first" in answer.json()["detail"]
    assert server.rows("history") == before


def test_other_bytes_than_announced_are_refused_and_the_right_ones_may_follow(
    server, phone, bucket
) -> None:
    body = server.body(0.5)
    instruction = phone.announce(body)
    bucket.put("staging", phone.place.assignment_id, server.body(0.25))
    assert code(commit(server, phone)) == (400, "digest_mismatch")
    assert server.rows("updates") == []
    assert phone.client.upload(instruction, body).sha256 == wire.sha256(body)


def test_a_checksum_that_the_store_has_kept_is_compared_before_anything_is_read(
    server, phone, bucket, monkeypatch
) -> None:
    phone.announce(server.body(0.5))
    bucket.client.put_object(
        Bucket=bucket.name,
        Key=f"fleet/staging/{phone.place.assignment_id}",
        Body=server.body(0.25),
        ChecksumAlgorithm="SHA256",
    )
    monkeypatch.setattr("pocketfed.server.blobs.arrivals.Arrivals.stage", die)
    answer = commit(server, phone)
    assert code(answer) == (400, "digest_mismatch")
    assert "the checksum of what was put" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda body: body[:-1], (400, "truncated_body")),
        (lambda body: body + b"\0", (413, "payload_too_large")),
    ],
)
def test_a_body_of_another_length_is_refused(server, phone, bucket, change, expected) -> None:
    body = server.body(0.5)
    phone.announce(body)
    bucket.put("staging", phone.place.assignment_id, change(body))
    assert code(commit(server, phone)) == expected
    assert server.rows("updates") == []


def spoiled(server, value):
    delta = server.delta(0.5)
    delta.vector[7] = value
    return wire.encode(delta)


def renamed(server):
    other = WeightSpec.of({"dense/kernal": (3, 4), "dense/bias": (4,)})
    return wire.encode(server.delta(0.5, other))


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda server: spoiled(server, np.nan), NonFiniteDelta),
        (lambda server: spoiled(server, 9.0), ImplausibleReport),
        (renamed, SpecMismatch),
    ],
)
def test_a_delta_that_must_not_count_is_refused_as_in_an_upload(
    server, phone, bucket, spoil, error
) -> None:
    body = spoil(server)
    instruction = phone.announce(body)
    with pytest.raises(error):
        phone.client.upload(instruction, body)
    assert server.rows("updates") == []
    assert wire.sha256(body) not in bucket.names("blobs")


def test_a_commit_needs_the_devices_own_assignment_and_a_report(server, phone) -> None:
    assert code(commit(server, phone)) == (409, "report_conflict")
    phone.announce(server.body(0.5))
    stranger = server.phone()
    stranger.assignment = phone.assignment
    assert code(commit(server, stranger)) == (403, "not_assigned")
    assert server.http.post("/v1/assignments/x/commit").status_code == 401
    unknown = server.request("POST", "/v1/assignments/x/commit", phone=phone)
    assert code(unknown) == (404, "not_found")


def test_a_commit_to_a_closed_round_is_late(server, phone) -> None:
    body = server.body(0.5)
    instruction = phone.announce(body)
    for _ in range(2):
        server.phone().serve(server.delta(0.25))
    with pytest.raises(RoundClosed):
        phone.client.upload(instruction, body)
    assert phone.client.fate(phone.place.assignment_id).state is AssignmentState.LATE


def test_a_commit_after_the_deadline_is_expired(server, phone) -> None:
    body = server.body(0.5)
    instruction = phone.announce(body)
    assert put(server, instruction, body) == 200
    server.clock.wait(30.0)
    with pytest.raises(AssignmentExpired):
        phone.client.upload(instruction, body)


def test_a_folder_takes_no_commit(rehearse) -> None:
    other = rehearse()
    other.create_task()
    phone = other.phone()
    phone.check_in()
    instruction = phone.announce(other.body(0.5))
    assert instruction.commit_url is None
    assert code(commit(other, phone)) == (404, "not_found")


def reconnect(server, phone):
    again = type(phone)(type(phone.client)(server.session(), device=phone.client.device))
    again.assignment = phone.assignment
    return again


def test_a_phone_that_stops_between_put_and_commit_goes_on(server, phone, bucket) -> None:
    body = server.body(0.5)
    put(server, phone.announce(body), body)
    server.restart()
    phone = reconnect(server, phone)
    assert phone.check_in().assignment_id == phone.place.assignment_id
    assert phone.deliver(server.delta(0.5)).sha256 == wire.sha256(body)
    assert len(server.rows("updates")) == 1


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (S3Direct, "fetch"),
        (S3Blobs, "prepare"),
        (S3Blobs, "publish"),
        (Writing, "accept_update"),
        (S3Direct, "drop"),
        (Writing, "add_checkpoint"),
        (S3Blobs, "remove"),
    ],
)
def test_a_death_at_any_step_of_a_commit_changes_no_bit(
    server, bucket, monkeypatch, where, what
) -> None:
    server.phone().serve(server.delta(0.5), num_examples=10)
    last = server.phone()
    last.check_in()
    body = server.body(1.0)
    instruction = last.announce(body, num_examples=30)
    with monkeypatch.context() as patched:
        patched.setattr(where, what, die)
        with pytest.raises(Killed):
            last.client.upload(instruction, body)
    server.restart()
    reconnect(server, last).client.upload(instruction, body)
    assert np.array_equal(server.weights(), np.full(16, 1.875, np.float32))
    assert [one.version for one in server.admin.history("task").checkpoints] == [0, 1]
    offered = {row["sha256"] for row in server.rows("checkpoints") + server.rows("deposits")}
    assert bucket.names("blobs") == offered


def test_a_commit_that_finds_its_body_taken_by_its_own_retry_is_acknowledged(
    server, phone, monkeypatch
) -> None:
    """Two commits of one phone run side by side; the other one wins and clears up."""
    body = server.body(0.5)
    put(server, phone.announce(body), body)
    fetch = S3Direct.fetch

    def other_first(direct, name, **announced):
        with monkeypatch.context() as patched:
            patched.setattr(S3Direct, "fetch", fetch)
            assert commit(server, phone).status_code == 201
        return fetch(direct, name, **announced)

    with monkeypatch.context() as patched:
        patched.setattr(S3Direct, "fetch", other_first)
        assert commit(server, phone).status_code == 200
    assert len(server.rows("updates")) == 1


def test_a_store_that_fails_is_503_and_nothing_is_acknowledged(server, phone, monkeypatch) -> None:
    body = server.body(0.5)
    instruction = phone.announce(body)
    put(server, instruction, body)

    def fail(*_, **__):
        raise Unavailable("the store failed")

    before = server.rows("history")
    for what in ("prepare", "publish"):
        with monkeypatch.context() as patched:
            patched.setattr(S3Blobs, what, fail)
            answer = commit(server, phone)
        assert code(answer) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "60"
        assert (server.rows("history"), server.rows("updates")) == (before, [])
    assert commit(server, phone).status_code == 201


def test_a_download_leads_to_the_store_and_arrives(server, phone, bucket) -> None:
    answer = server.request("GET", phone.place.model.url, phone=phone)
    assert answer.status_code == 307
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Location"].startswith(f"{bucket.url}/{bucket.name}/fleet/blobs/")
    assert "X-Amz-Expires=900" in answer.headers["Location"]
    body = phone.client.download(phone.place.model)
    assert wire.sha256(body) == phone.place.model.sha256


def test_a_known_etag_needs_no_redirect(server, phone) -> None:
    headers = {"If-None-Match": f'"{phone.place.model.sha256}"'}
    answer = server.request("GET", phone.place.model.url, phone=phone, headers=headers)
    assert (answer.status_code, answer.content) == (304, b"")


def test_no_redirect_is_given_to_a_stranger_or_to_an_update(server, phone) -> None:
    assert server.http.get(phone.place.model.url).status_code == 401
    receipt = phone.deliver(server.delta(0.5))
    answer = server.request("GET", f"/v1/blobs/{receipt.sha256}", phone=phone)
    assert code(answer) == (404, "not_found")


def test_without_presigning_all_bytes_pass_the_server(rehearse, bucket) -> None:
    server = rehearse(blobs=bucket.location, presign=False)
    server.create_task()
    phone = server.phone()
    phone.check_in()
    whole = server.request("GET", phone.place.model.url, phone=phone)
    assert (whole.status_code, wire.sha256(whole.content)) == (200, phone.place.model.sha256)
    assert whole.headers["ETag"] == f'"{phone.place.model.sha256}"'
    ranged = {"Range": "bytes=100-"}
    part = server.request("GET", phone.place.model.url, phone=phone, headers=ranged)
    assert (part.status_code, part.content) == (206, whole.content[100:])
    instruction = phone.announce(server.body(0.5))
    assert (instruction.url[:16], instruction.commit_url) == ("/v1/assignments/", None)
    phone.client.upload(instruction, server.body(0.5))
    assert wire.sha256(server.body(0.5)) in bucket.names("blobs")
    assert list((server.data / "incoming").iterdir()) == []


def test_bytes_that_somebody_removed_are_gone(rehearse, bucket) -> None:
    server = rehearse(blobs=bucket.location, presign=False)
    server.create_task()
    phone = server.phone()
    phone.check_in()
    bucket.client.delete_object(Bucket=bucket.name, Key=f"fleet/blobs/{phone.place.model.sha256}")
    answer = server.request("GET", phone.place.model.url, phone=phone)
    assert code(answer) == (410, "gone")


def test_a_server_without_its_bucket_is_not_ready(server, bucket) -> None:
    assert server.http.get("/readyz").text == "ok\n"
    for kind in ("blobs", "staging"):
        for name in bucket.names(kind):
            bucket.client.delete_object(Bucket=bucket.name, Key=f"fleet/{kind}/{name}")
    bucket.client.delete_bucket(Bucket=bucket.name)
    assert server.http.get("/readyz").status_code == 503
    assert server.http.get("/healthz").status_code == 200

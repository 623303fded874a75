"""Reports and uploads: what is taken, what is refused, and that a refusal changes nothing."""

import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.errors import (
    AssignmentExpired,
    ImplausibleReport,
    NotAssigned,
    NotFound,
    ReportConflict,
    RoundClosed,
)
from pocketfed.protocol.messages import AssignmentState, RejectionReason
from pocketfed.protocol.weights import WeightSpec


@pytest.fixture
def phone(server):
    """A phone with a place in a round of three."""
    server.create_task()
    phone = server.phone()
    phone.check_in()
    return phone


def refused(server, action, expected):
    """Runs an action that must be refused, and compares all that the server keeps."""
    before = server.everything()
    answer = action()
    assert (answer.status_code, answer.json()["code"]) == expected
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert server.everything() == before


def refused_with(server, error, action):
    before = server.everything()
    with pytest.raises(error):
        action()
    assert server.everything() == before


def test_an_upload_is_acknowledged_when_it_is_stored(server, phone) -> None:
    body = server.body(0.5)
    phone.announce(body)
    answer = server.put_update(phone, body)
    assert answer.status_code == 201
    assert answer.json() == {
        "assignment_id": phone.place.assignment_id,
        "sha256": wire.sha256(body),
        "bytes": len(body),
    }
    assert wire.sha256(body) in server.blobs()
    assert [row["sha256"] for row in server.rows("updates")] == [wire.sha256(body)]


def test_the_same_upload_again_is_acknowledged_and_counts_once(server, phone) -> None:
    body = server.body(0.5)
    phone.announce(body)
    first = server.put_update(phone, body)
    before = server.everything()
    again = server.put_update(phone, body)
    assert (again.status_code, again.json()) == (200, first.json())
    assert server.everything() == before


def test_the_same_upload_is_acknowledged_even_after_its_round(server, phone) -> None:
    body = server.body(0.5)
    phone.announce(body)
    server.put_update(phone, body)
    server.phone().serve(server.delta(0.25))
    assert phone.client.fate(phone.place.assignment_id).state is AssignmentState.FOLDED
    assert server.put_update(phone, body).status_code == 200
    assert wire.sha256(body) not in server.blobs()


def test_the_same_report_again_gets_the_same_answer(server, phone) -> None:
    body = server.body(0.5)
    first = phone.announce(body)
    server.clock.wait(10.0)
    again = phone.announce(body)
    assert again.url == first.url
    assert again.upload_within_s == first.upload_within_s - 10.0


def test_an_instruction_says_all_that_an_upload_needs(server, phone) -> None:
    body = server.body(0.5)
    instruction = phone.announce(body)
    assert instruction.url == f"/v1/assignments/{phone.place.assignment_id}/update"
    assert instruction.headers["Content-Type"] == wire.MEDIA_TYPE
    assert instruction.headers["Authorization"].startswith("Bearer ")
    assert instruction.upload_within_s == 30.0


def test_a_different_report_is_a_conflict(server, phone) -> None:
    phone.announce(server.body(0.5))
    refused_with(server, ReportConflict, lambda: phone.announce(server.body(0.25)))


def test_two_devices_may_send_the_same_bytes(server, phone) -> None:
    phone.deliver(server.delta(0.0))
    server.phone().serve(server.delta(0.0))
    (closed, _) = server.rounds()
    assert closed.accepted == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"num_examples": 0},
        {"num_examples": 101},
        {"bytes": 207},
        {"bytes": 0},
        {"sha256": None},
    ],
)
def test_an_implausible_report_is_refused(server, phone, changes) -> None:
    body = server.body(0.5)
    refused_with(server, ImplausibleReport, lambda: phone.announce(body, **changes))


def test_a_report_that_is_no_report_names_the_field(server, phone) -> None:
    path = f"/v1/assignments/{phone.place.assignment_id}/report"
    answer = server.request("POST", path, phone=phone, content=b'{"outcome":"bored"}')
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_payload")
    assert "Report.outcome" in answer.json()["detail"]


def test_an_enormous_number_of_examples_of_a_failed_device_is_no_trouble(server, phone) -> None:
    path = f"/v1/assignments/{phone.place.assignment_id}/report"
    content = b'{"outcome":"failed","num_examples":' + b"9" * 40 + b"}"
    assert server.request("POST", path, phone=phone, content=content).status_code == 200


def test_another_phones_assignment_is_not_ones_own(server, phone) -> None:
    stranger, body = server.phone(), server.body(0.5)
    phone.announce(body)
    stranger.assignment = phone.assignment
    refused_with(server, NotAssigned, lambda: stranger.announce(body))
    refused(server, lambda: server.put_update(stranger, body), (403, "not_assigned"))


def test_an_unknown_assignment_is_not_found(server, phone) -> None:
    body = server.body(0.5)
    report = server.announcing(body)
    refused_with(server, NotFound, lambda: phone.client.report("unknown", report))
    refused(
        server,
        lambda: server.request("PUT", "/v1/assignments/unknown/update", phone=phone, content=body),
        (404, "not_found"),
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content_Type": "application/octet-stream"}, (415, "unsupported_media_type")),
        ({"Content_Type": None}, (415, "unsupported_media_type")),
        ({"Content_Length": None}, (411, "length_required")),
        ({"Content_Length": "many"}, (411, "length_required")),
        ({"Content_Length": "209"}, (413, "payload_too_large")),
        ({"Content_Length": "207"}, (422, "spec_mismatch")),
        ({"Content_Digest": None}, (400, "malformed_payload")),
        ({"Content_Digest": "sha-256=:AAAA:"}, (400, "malformed_payload")),
        ({"Content_Digest": wire.content_digest("0" * 64)}, (409, "report_conflict")),
    ],
)
def test_an_upload_with_a_wrong_header_is_refused(server, phone, headers, expected) -> None:
    body = server.body(0.5)
    assert len(body) == 208
    phone.announce(body)
    refused(server, lambda: server.put_update(phone, body, **headers), expected)


def test_the_checks_come_in_the_documented_order(server, phone) -> None:
    """Each fault of the next line is present as well; the first one is what is answered."""
    body, stranger = server.body(0.5), server.phone()
    stranger.assignment = phone.assignment
    faults = {
        "Content_Type": "text/plain",
        "Content_Length": None,
        "Content_Digest": "unreadable",
    }
    assert server.put_update(stranger, body, **faults).status_code == 403
    assert server.put_update(phone, body, **faults).status_code == 415
    del faults["Content_Type"]
    assert server.put_update(phone, body, **faults).status_code == 411
    faults["Content_Length"] = "209"
    assert server.put_update(phone, body, **faults).status_code == 413
    faults["Content_Length"] = "207"
    assert server.put_update(phone, body, **faults).json()["code"] == "spec_mismatch"
    del faults["Content_Length"]
    assert server.put_update(phone, body, **faults).json()["code"] == "malformed_payload"
    del faults["Content_Digest"]
    server.admin.stop("task")
    assert server.put_update(phone, body).json()["code"] == "report_conflict"


def test_an_upload_without_a_report_is_a_conflict(server, phone) -> None:
    refused(server, lambda: server.put_update(phone, server.body(0.5)), (409, "report_conflict"))


def test_other_bytes_than_announced_are_a_conflict(server, phone) -> None:
    phone.announce(server.body(0.5))
    refused(server, lambda: server.put_update(phone, server.body(0.25)), (409, "report_conflict"))


def test_a_second_different_upload_is_a_conflict(server, phone) -> None:
    phone.deliver(server.delta(0.5))
    refused(server, lambda: server.put_update(phone, server.body(0.25)), (409, "report_conflict"))


def test_a_body_that_ends_early_is_truncated(server, phone) -> None:
    body = server.body(0.5)
    phone.announce(body)
    announced = {
        "Content_Length": str(len(body)),
        "Content_Digest": wire.content_digest(wire.sha256(body)),
    }
    refused(
        server,
        lambda: server.put_update(phone, body[:100], **announced),
        (400, "truncated_body"),
    )
    assert server.put_update(phone, body).status_code == 201


def test_a_body_with_another_digest_than_its_header_is_refused(server, phone) -> None:
    body = server.body(0.5)
    phone.announce(body)
    digest = wire.content_digest(wire.sha256(body))
    refused(
        server,
        lambda: server.put_update(phone, server.body(0.25), Content_Digest=digest),
        (400, "digest_mismatch"),
    )


def poisoned(server, value):
    delta = server.delta(0.5)
    delta.vector[7] = value
    return wire.encode(delta)


def renamed(server):
    other = WeightSpec.of({"dense/kernal": (3, 4), "dense/bias": (4,)})
    return wire.encode(server.delta(0.5, other))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (renamed, (422, "spec_mismatch")),
        (lambda server: poisoned(server, np.nan), (422, "non_finite_delta")),
        (lambda server: poisoned(server, -np.inf), (422, "non_finite_delta")),
        (lambda server: poisoned(server, 8.5), (422, "implausible_report")),
        (lambda server: poisoned(server, -3e38), (422, "implausible_report")),
    ],
    ids=["header", "nan", "infinite", "large", "huge"],
)
def test_a_delta_that_must_not_count_is_refused(server, phone, spoil, expected) -> None:
    body = spoil(server)
    phone.announce(body)
    refused(server, lambda: server.put_update(phone, body), expected)


def test_an_upload_after_its_deadline_is_expired(server, phone) -> None:
    body = server.body(0.5)
    phone.announce(body)
    server.clock.wait(30.0)
    server.server.coordinator.tick(server.clock())
    refused(server, lambda: server.put_update(phone, body), (410, "assignment_expired"))
    assert phone.client.fate(phone.place.assignment_id).reason == "upload"


def test_a_deadline_holds_before_any_tick(server, phone, monkeypatch) -> None:
    """A thread ticks only every second; a deadline does not wait for it."""
    body = server.body(0.5)
    instruction = phone.announce(body)
    monkeypatch.setattr(server.server.coordinator, "_is_inline", False)
    server.clock.wait(30.0)
    with pytest.raises(AssignmentExpired):
        phone.client.upload(instruction, body)
    assert phone.check_in().reason is RejectionReason.ALREADY_TOOK_PART


def test_the_end_of_a_round_holds_before_any_tick(server, phone, monkeypatch) -> None:
    body = server.body(0.5)
    instruction = phone.announce(body)
    server.clock.wait(29.0)
    monkeypatch.setattr(server.server.coordinator, "_is_inline", False)
    store = server.server.coordinator._store
    with store._connected(store._dialect.write) as connection:
        connection.exec_driver_sql("UPDATE rounds SET selection_ends_at = 0, minimum = 2")
    with pytest.raises(RoundClosed):
        phone.client.upload(instruction, body)
    assert [row["phase"] for row in server.rows("rounds")] == ["abandoned", "selecting"]


def close_round(server):
    for _ in range(2):
        server.phone().serve(server.delta(0.25))


def test_a_report_to_a_closed_round_says_check_in_again(server, phone) -> None:
    close_round(server)
    with pytest.raises(RoundClosed, match="check in again"):
        phone.announce(server.body(0.5))
    assert phone.client.fate(phone.place.assignment_id).state is AssignmentState.LATE
    refused_with(server, RoundClosed, lambda: phone.announce(server.body(0.5)))


def test_an_upload_to_a_closed_round_says_check_in_again(server, phone) -> None:
    body = server.body(0.5)
    phone.announce(body)
    close_round(server)
    blobs = server.blobs()
    answer = server.put_update(phone, body)
    assert (answer.status_code, answer.json()["code"]) == (409, "round_closed")
    assert phone.client.fate(phone.place.assignment_id).state is AssignmentState.LATE
    assert server.blobs() == blobs
    refused(server, lambda: server.put_update(phone, body), (409, "round_closed"))
    assert server.rounds()[0].late == 1


def test_a_round_that_closes_while_a_body_arrives_refuses_it(server, phone, monkeypatch) -> None:
    body = server.body(0.5)
    phone.announce(body)
    delivery = "pocketfed.server.taking_part.held.require_moderate"
    monkeypatch.setattr(delivery, lambda _: server.admin.stop("task"))
    answer = server.put_update(phone, body)
    assert (answer.status_code, answer.json()["code"]) == (409, "round_closed")
    assert wire.sha256(body) not in server.blobs()
    assert server.rows("updates") == []


def test_a_full_disk_is_unavailable_and_nothing_is_acknowledged(server, phone, monkeypatch) -> None:
    body = server.body(0.5)
    phone.announce(body)

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    before = server.everything()
    monkeypatch.setattr("pocketfed.server.blobs.arrivals.os.fsync", fail)
    answer = server.put_update(phone, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "60"
    assert server.everything() == before

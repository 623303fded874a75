"""Enrolling, checking in, aborting and asking for a fate, over the real clients."""

import hashlib

import pytest
from pocketfed.client import DeviceClient
from pocketfed.protocol.errors import AssignmentExpired, NotAssigned, NotFound, UnsupportedVersion
from pocketfed.protocol.messages import (
    Assignment,
    AssignmentState,
    Capabilities,
    CheckIn,
    Enrolment,
    Outcome,
    Rejection,
    RejectionReason,
    Report,
)


def states(server):
    return [row["state"] for row in server.rows("assignments")]


def test_only_the_digest_of_a_device_token_is_kept(server) -> None:
    phone = server.phone()
    (row,) = server.rows("devices")
    assert row["token_sha256"] == hashlib.sha256(phone.token.encode()).hexdigest()
    assert phone.token not in str(server.everything())
    assert len(bytes.fromhex(phone.token)) == 32


def test_a_device_of_another_protocol_version_is_told_so(server) -> None:
    client = DeviceClient(server.session())
    with pytest.raises(UnsupportedVersion, match=r"version 2.*speaks 1"):
        client.enrol(Enrolment(client_version="1", protocol_version=2))
    server.create_task()
    with pytest.raises(UnsupportedVersion):
        server.phone().check_in(message=CheckIn(client_version="1", protocol_version=2))


@pytest.mark.parametrize("token", ["", " ", "0" * 64, "wrong", "schlüssel", "\xff"])
def test_an_unknown_token_is_refused(server, token) -> None:
    server.create_task()
    headers = {"Authorization": f"Bearer {token}"}
    answer = server.app.test_client().post("/v1/populations/phones/check-ins", headers=headers)
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (401, "unauthenticated")


def test_a_request_without_a_token_is_told_where_to_put_it(server) -> None:
    answer = server.http.post("/v1/populations/phones/check-ins", content=b"{}")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Authorization" in answer.json()["detail"]


def test_a_population_nobody_created_a_task_for_is_not_found(server) -> None:
    server.create_task()
    with pytest.raises(NotFound):
        server.phone().check_in("watches")


def test_a_check_in_is_answered_with_all_a_device_needs(server) -> None:
    server.create_task()
    phone = server.phone()
    place = phone.check_in()
    assert (place.task, place.round, place.attempt, place.codec) == ("task", 1, 1, "float32")
    assert (place.compute_within_s, place.upload_within_s) == (60.0, 30.0)
    assert place.retry == server.settings().retry
    assert len(phone.client.download(place.model)) == place.model.bytes
    assert len(phone.client.download(place.manifest)) == place.manifest.bytes
    assert len(phone.client.download(place.checkpoint)) == place.checkpoint.bytes


def test_a_place_is_found_at_its_location(server) -> None:
    server.create_task()
    phone = server.phone()
    answer = server.request(
        "POST",
        "/v1/populations/phones/check-ins",
        phone=phone,
        content=server.check_in.to_json(),
    )
    assert answer.status_code == 201
    fate = server.request("GET", answer.headers["Location"], phone=phone).json()
    assert fate["assignment_id"] == answer.json()["assignment_id"]


def test_checking_in_again_returns_the_place_with_the_time_that_is_left(server) -> None:
    server.create_task()
    phone = server.phone()
    first = phone.check_in()
    server.clock.wait(20.0)
    again = phone.check_in()
    assert again.assignment_id == first.assignment_id
    assert again.compute_within_s == 40.0
    assert len(server.rows("assignments")) == 1


def test_checking_in_again_after_the_report_leaves_only_time_to_upload(server) -> None:
    server.create_task()
    phone = server.phone()
    first = phone.check_in()
    phone.announce(server.body(0.5))
    server.clock.wait(10.0)
    again = phone.check_in()
    assert again.assignment_id == first.assignment_id
    assert (again.compute_within_s, again.upload_within_s) == (0.0, 20.0)


def test_a_device_serves_a_round_once(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.serve(server.delta(0.5))
    assert phone.check_in().reason is RejectionReason.ALREADY_TOOK_PART


def test_a_full_round_turns_a_device_away_until_the_window(server) -> None:
    server.create_task()
    for _ in range(3):
        assert isinstance(server.phone().check_in(), Assignment)
    answer = server.request(
        "POST",
        "/v1/populations/phones/check-ins",
        phone=server.phone(),
        content=server.check_in.to_json(),
    )
    rejection = Rejection.from_json(answer.content)
    assert (answer.status_code, rejection.reason) == (200, RejectionReason.ROUND_FULL)
    assert rejection.retry == server.settings().retry
    assert answer.headers["Retry-After"] == "11"


def test_a_stopped_task_has_no_places(server) -> None:
    server.create_task()
    server.admin.stop("task")
    rejection = server.phone().check_in()
    assert rejection.reason is RejectionReason.NO_TASK
    assert rejection.retry == server.settings().retry


@pytest.mark.parametrize(
    "capabilities", [Capabilities(codecs=("int8",)), Capabilities(max_bytes=500)]
)
def test_a_device_that_cannot_decode_or_hold_the_model_is_turned_away(server, capabilities) -> None:
    server.create_task()
    message = CheckIn(client_version="1", capabilities=capabilities)
    assert server.phone().check_in(message=message).reason is RejectionReason.NOT_CAPABLE


def test_a_device_holds_one_place_per_population(server) -> None:
    server.create_task("one", population="phones")
    server.create_task("two", population="tablets")
    phone = server.phone()
    assert phone.check_in("phones").task == "one"
    assert phone.check_in("tablets").task == "two"
    assert phone.check_in("phones").task == "one"


def test_an_abort_gives_the_place_back(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    phone = server.phone()
    phone.check_in()
    phone.client.abort(phone.place.assignment_id)
    assert phone.client.fate(phone.place.assignment_id).state is AssignmentState.ABORTED
    assert isinstance(server.phone().check_in(), Assignment)
    assert phone.check_in().reason is RejectionReason.ALREADY_TOOK_PART


def test_an_abort_is_answered_with_204_whatever_it_finds(server) -> None:
    server.create_task()
    phone, stranger = server.phone(), server.phone()
    phone.check_in()
    phone.client.abort(phone.place.assignment_id)
    before = server.everything()
    phone.client.abort(phone.place.assignment_id)
    stranger.client.abort("no such assignment")
    assert server.everything() == before


def test_an_abort_of_another_devices_place_changes_nothing(server) -> None:
    server.create_task()
    phone, stranger = server.phone(), server.phone()
    phone.check_in()
    before = server.everything()
    stranger.client.abort(phone.place.assignment_id)
    assert server.everything() == before


def test_an_accepted_update_survives_an_abort(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.serve(server.delta(0.5))
    phone.client.abort(phone.place.assignment_id)
    assert states(server) == ["uploaded"]


def test_only_the_device_itself_learns_its_fate(server) -> None:
    server.create_task()
    phone, stranger = server.phone(), server.phone()
    phone.check_in()
    with pytest.raises(NotAssigned):
        stranger.client.fate(phone.place.assignment_id)
    with pytest.raises(NotFound):
        phone.client.fate("unknown")


def test_a_failed_device_gives_its_place_back_and_keeps_its_reason(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    phone = server.phone()
    phone.check_in()
    report = Report(outcome=Outcome.NOT_ELIGIBLE)
    fate = phone.client.report(phone.place.assignment_id, report)
    assert (fate.state, fate.reason) == (AssignmentState.FAILED, "not_eligible")
    assert phone.client.report(phone.place.assignment_id, report) == fate
    assert isinstance(server.phone().check_in(), Assignment)


def test_a_report_after_the_compute_deadline_is_expired(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    server.clock.wait(60.0)
    with pytest.raises(AssignmentExpired):
        phone.announce(server.body(0.5))
    assert phone.client.fate(phone.place.assignment_id).reason == "compute"


def test_an_expired_place_is_given_again(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    server.phone().check_in()
    server.clock.wait(60.0)
    assert isinstance(server.phone().check_in(), Assignment)


def test_the_same_seed_and_clock_give_the_same_ids(rehearse) -> None:
    first, second = rehearse(), rehearse()
    assert first.server.admin_token == second.server.admin_token
    assert first.phone().token == second.phone().token

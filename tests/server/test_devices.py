"""Enrolment: tokens that end, can be revoked, and come again when the answer was lost."""

import random

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.client import DeviceClient
from pocketfed.protocol.errors import (
    AssignmentExpired,
    ConfigError,
    DeviceRevoked,
    KeyReused,
    MalformedPayload,
    NotAssigned,
    NotFound,
    RateLimited,
    TokenExpired,
    Unauthenticated,
)
from pocketfed.protocol.messages import Enrolment, Rejection
from pocketfed.server.config import Config
from pocketfed.server.trust.limits import Bucket, Limit, spend
from pocketfed.server.trust.rates import network_of

KEY = "0123456789abcdef" * 2
ENROLMENT = Enrolment(client_version="1")


def client(server, device=None) -> DeviceClient:
    return DeviceClient(server.session(), device=device)


def test_an_enrolment_that_is_repeated_has_the_same_answer(server) -> None:
    first = client(server).enrol(ENROLMENT, key=KEY)
    server.restart()
    again = client(server).enrol(ENROLMENT, key=KEY)
    assert (again.device_id, again.token) == (first.device_id, first.token)
    assert len(server.rows("devices")) == 1


def test_an_enrolment_without_a_key_is_a_new_device_each_time(server) -> None:
    tokens = {client(server).enrol(ENROLMENT).token for _ in range(3)}
    assert len(tokens) == 3


def test_a_key_that_comes_with_another_message_is_refused(server) -> None:
    client(server).enrol(ENROLMENT, key=KEY)
    with pytest.raises(KeyReused):
        client(server).enrol(Enrolment(client_version="2"), key=KEY)


def test_a_key_that_can_be_guessed_is_refused(server) -> None:
    with pytest.raises(MalformedPayload, match="16 to 200"):
        client(server).enrol(ENROLMENT, key="short")


def test_another_server_gives_another_token_for_the_same_key(rehearse) -> None:
    servers = [rehearse(), rehearse()]
    servers[1].entropy = random.Random(2).randbytes
    servers[1].stop()
    (servers[1].data / "pocketfed.sqlite3").unlink()
    servers[1].start()
    tokens = {client(server).enrol(ENROLMENT, key=KEY).token for server in servers}
    assert len(tokens) == 2


def test_only_digests_of_tokens_and_keys_are_kept(server) -> None:
    device = client(server).enrol(ENROLMENT, key=KEY)
    assert device.token not in repr(server.everything())
    assert KEY not in repr(server.everything())


def test_a_token_ends(rehearse) -> None:
    server = rehearse(token_ttl_s=100.0)
    server.create_task()
    phone = server.phone()
    assert phone.client.device.expires_in_s == 100.0
    server.clock.wait(99.0)
    phone.check_in()
    server.clock.wait(1.0)
    with pytest.raises(TokenExpired):
        phone.check_in()


def test_a_device_whose_token_has_ended_enrols_again_as_itself(rehearse) -> None:
    server = rehearse(token_ttl_s=100.0)
    server.create_task()
    phone = server.phone()
    before = phone.client.device
    server.clock.wait(200.0)
    after = phone.client.enrol(ENROLMENT)
    assert after.device_id == before.device_id
    assert after.token != before.token
    phone.check_in()
    with pytest.raises(Unauthenticated):
        client(server, before).check_in("phones", server.check_in)


def test_the_key_of_an_enrolment_that_was_renewed_gives_no_second_device(server) -> None:
    device = client(server).enrol(ENROLMENT, key=KEY)
    client(server, device).enrol(ENROLMENT, key=KEY[::-1])
    with pytest.raises(KeyReused, match="anew"):
        client(server).enrol(ENROLMENT, key=KEY)


def test_a_token_of_nobody_renews_nothing(server) -> None:
    stranger = client(server).enrol(ENROLMENT)
    server.restart()
    forged = type(stranger)(device_id=stranger.device_id, token="0" * 64)
    with pytest.raises(Unauthenticated):
        client(server, forged).enrol(ENROLMENT)


def test_a_revoked_device_is_turned_away_for_good(server) -> None:
    server.create_task()
    phone = server.phone()
    shown = server.admin.revoke_device(phone.client.device.device_id)
    assert shown.revoked_at == server.clock.now
    with pytest.raises(DeviceRevoked):
        phone.check_in()
    with pytest.raises(DeviceRevoked):
        phone.client.enrol(ENROLMENT)


def test_a_revoked_device_cannot_repeat_its_enrolment(server) -> None:
    device = client(server).enrol(ENROLMENT, key=KEY)
    server.admin.revoke_device(device.device_id)
    with pytest.raises(DeviceRevoked):
        client(server).enrol(ENROLMENT, key=KEY)


def test_revoking_twice_keeps_the_first_time(server) -> None:
    device = client(server).enrol(ENROLMENT)
    first = server.admin.revoke_device(device.device_id)
    server.clock.wait(5.0)
    assert server.admin.revoke_device(device.device_id) == first
    assert server.admin.device(device.device_id) == first


def test_an_unknown_device_cannot_be_revoked(server) -> None:
    with pytest.raises(NotFound):
        server.admin.revoke_device("0" * 32)


def test_a_check_in_that_arrives_twice_takes_one_place(server) -> None:
    server.create_task()
    phone = server.phone()
    first = phone.client.check_in("phones", server.check_in, key=KEY)
    again = phone.client.check_in("phones", server.check_in, key=KEY)
    assert again.assignment_id == first.assignment_id


def test_a_check_in_that_arrives_again_after_its_place_is_over_takes_none(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    phone = server.phone()
    phone.assignment = phone.client.check_in("phones", server.check_in, key=KEY)
    phone.deliver(server.delta(1.0))
    with pytest.raises(AssignmentExpired):
        phone.client.check_in("phones", server.check_in, key=KEY)
    assert phone.client.check_in("phones", server.check_in, key=KEY[::-1]).round == 2


def test_a_device_that_checks_in_too_often_is_told_how_long_to_wait(rehearse) -> None:
    server = rehearse(check_ins_per_h=60.0, check_ins_burst=3)
    server.create_task()
    phone = server.phone()
    for _ in range(3):
        phone.check_in()
    with pytest.raises(RateLimited) as caught:
        phone.check_in()
    assert caught.value.retry_after_s == 60.0
    server.phone().check_in()
    server.clock.wait(60.0)
    phone.check_in()


def test_a_network_that_enrols_too_often_is_told_how_long_to_wait(rehearse) -> None:
    server = rehearse(enrolments_per_h=3600.0, enrolments_burst=2, proxy_hops=1)

    def enrol(address: str) -> httpx.Response:
        headers = {"X-Forwarded-For": address}
        return server.http.post("/v1/devices", content=ENROLMENT.to_json(), headers=headers)

    assert [enrol(f"10.0.0.{i}").status_code for i in range(3)] == [201, 201, 429]
    assert enrol("10.0.0.9").headers["Retry-After"] == "1"
    assert enrol("10.0.1.0").status_code == 201


@pytest.mark.parametrize(
    ("address", "network"),
    [("10.1.2.3", "10.1.2.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), (None, ""), ("x", "")],
)
def test_a_network_is_as_wide_as_an_office(address: str | None, network: str) -> None:
    assert network_of(address) == network


@given(st.lists(st.floats(0.0, 600.0), max_size=60), st.floats(1.0, 1000.0), st.integers(1, 20))
def test_no_sender_gets_more_than_its_burst_and_its_rate(
    waits: list[float], per_hour: float, burst: int
) -> None:
    limit, bucket, now, taken = Limit(per_hour=per_hour, burst=burst), None, 0.0, 0
    for wait in waits:
        now += wait
        bucket, wait_s = spend(bucket, limit, now=now)
        taken += wait_s == 0
    assert taken <= burst + per_hour * now / 3600.0 + 1e-6


def test_a_clock_that_is_set_back_fills_no_bucket() -> None:
    limit, bucket = Limit(per_hour=60.0, burst=1), Bucket(tokens=0.0, at=1000.0)
    assert spend(bucket, limit, now=0.0) == (bucket, 60.0)


def test_an_upload_carries_a_right_of_its_own(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    body = server.body(1.0)
    instruction = phone.announce(body)
    right = instruction.headers["Authorization"]
    assert phone.token not in right
    assert server.put_update(phone, body, Authorization=right).status_code == 201
    assert (
        server.http.get("/v1/blobs/" + "0" * 64, headers={"Authorization": right}).status_code
        == 401
    )


def test_the_right_to_one_upload_is_none_to_another(server) -> None:
    server.create_task()
    phones = [server.phone(), server.phone()]
    for phone in phones:
        phone.check_in()
    body = server.body(1.0)
    rights = [phone.announce(body).headers["Authorization"] for phone in phones]
    answer = server.put_update(phones[0], body, Authorization=rights[1])
    assert answer.status_code == 401


def test_a_devices_token_is_no_right_to_anothers_upload(server) -> None:
    server.create_task()
    one, other = server.phone(), server.phone()
    one.check_in()
    body = server.body(1.0)
    instruction = one.announce(body)
    other.client.device = type(other.client.device)(
        device_id=other.client.device.device_id, token=other.token
    )
    plain = type(instruction)(url=instruction.url, upload_within_s=instruction.upload_within_s)
    with pytest.raises(NotAssigned):
        other.client.upload(plain, body)


def test_a_proxy_that_has_checked_a_certificate_speaks_for_the_operator(rehearse) -> None:
    server = rehearse(admin_proxy_header="X-Client-Verify", proxy_hops=1)

    def status(**headers: str) -> int:
        answer: httpx.Response = server.http.get("/v1/admin/tasks", headers=headers)
        return answer.status_code

    assert status(**{"X-Client-Verify": "SUCCESS"}) == 200
    assert status(**{"X-Client-Verify": "FAILED"}) == 401
    assert status() == 401


def test_a_certificate_header_without_a_proxy_is_a_setting_that_cannot_be(tmp_path) -> None:
    with pytest.raises(ConfigError, match="proxy_hops"):
        Config(data_dir=tmp_path, admin_proxy_header="X-Client-Verify")


def test_a_rejected_device_counts_as_seen(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    answers = [server.phone().check_in() for _ in range(2)]
    assert isinstance(answers[1], Rejection)
    assert len(server.rows("visits")) == 2

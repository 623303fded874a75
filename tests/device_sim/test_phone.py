"""One phone's steps: the path without errors, and each rule of docs/protocol.md, "Retrying"."""

import json

import httpx
import msgspec
import numpy as np
import pytest
from pocketfed.device_sim.phones.retrying import RetryPolicy, Step
from pocketfed.device_sim.phones.sessions import SessionOutcome
from pocketfed.protocol import errors, wire
from pocketfed.protocol.codecs import ENCODINGS, codec_named
from pocketfed.protocol.messages import Rejection, RejectionReason
from pocketfed.protocol.plan import Eligibility, Plan

from_30_to_60_s = pytest.approx(45.0, abs=15.0)
about_15_min = pytest.approx(900.0, rel=0.2)
about_4_h = pytest.approx(4 * 3600.0, rel=0.2)

NO_ANSWER = httpx.ConnectError("connection refused")


def rejection():
    window = {"min_s": 30.0, "max_s": 60.0}
    answer = Rejection.of({"reason": RejectionReason.ROUND_FULL, "detail": "full", "retry": window})
    return httpx.Response(200, content=answer.to_json())


def wake_until(bench, step):
    for _ in range(9):
        if bench.phone.step is step:
            return
        bench.wake()
    raise AssertionError(f"the phone never came to {step}")


def test_a_session_without_errors_goes_through_every_step_once(make_bench):
    bench = make_bench()
    record = bench.run_session()
    assert bench.server.log == ["enrol", "check_in", *["download"] * 3, "report", "upload"]
    assert (record.outcome, record.shape) == (SessionOutcome.ACCEPTED, "-v[]+^")
    assert (record.round, record.attempt, record.num_examples) == (1, 1, 7)
    assert bench.phone.step is Step.CHECK_IN


def test_after_an_upload_the_phone_waits_for_an_instant_of_the_window(make_bench):
    bench = make_bench()
    wake_until(bench, Step.UPLOAD)
    assert bench.wake() == from_30_to_60_s


def test_what_is_uploaded_is_what_was_reported(make_bench):
    bench = make_bench()
    bench.run_session()
    report, upload = bench.server.requests[-2:]
    announced = json.loads(report.content)
    assert announced["sha256"] == wire.sha256(upload.content)
    assert announced["bytes"] == len(upload.content)
    assert announced["num_examples"] == 7
    assert announced["loss"] > 0


def test_the_server_learns_only_a_power_of_two_before_training(make_bench):
    bench = make_bench(13)
    bench.wake()
    assert json.loads(bench.server.requests[-1].content)["examples_bucket"] == 8


def test_a_second_session_downloads_the_checkpoint_only(make_bench):
    bench = make_bench()
    first, second = bench.run_session(), bench.run_session()
    server = bench.server
    assert server.log.count("download") == 4
    artifact_bytes = sum(len(body) for body in list(server.blobs.values())[:2])
    assert first.bytes_down - second.bytes_down == pytest.approx(artifact_bytes, abs=200)


def test_all_traffic_lands_in_some_session(make_bench):
    bench = make_bench()
    bench.server.script = {"check_in": [rejection()], "upload": [NO_ANSWER]}
    for _ in range(3):
        bench.run_session()
    traffic = bench.client.traffic
    assert sum(record.bytes_up for record in bench.records) == traffic.up > 0
    assert sum(record.bytes_down for record in bench.records) == traffic.down > 0


def test_bytes_are_told_by_what_they_were_for(make_bench):
    bench = make_bench()
    record = bench.run_session()
    model, manifest, checkpoint = map(len, bench.server.blobs.values())
    assert (record.bytes_model, record.bytes_checkpoint) == (model + manifest, checkpoint)
    assert record.bytes_update == len(bench.server.requests[-1].content)
    again = bench.run_session()
    assert (again.bytes_model, again.bytes_checkpoint) == (0, checkpoint)


def test_what_was_moved_in_vain_counts_too(make_bench):
    bench = make_bench()
    bench.server.script = {"upload": [errors.Unavailable("busy", retry_after_s=1.0)]}
    record = bench.run_session()
    assert record.outcome is SessionOutcome.ACCEPTED
    assert record.bytes_update == 2 * len(bench.server.requests[-1].content)


@pytest.mark.parametrize(
    ("step", "answer", "reason"),
    [
        ("check_in", rejection(), "round_full"),
        ("report", errors.RoundClosed("closed"), "round_closed"),
        ("report", errors.AssignmentExpired("too late"), "assignment_expired"),
    ],
)
def test_a_session_tells_the_servers_reason(make_bench, step, answer, reason):
    bench = make_bench()
    bench.server.script = {step: [answer]}
    assert bench.run_session().reason == reason
    assert bench.run_session().reason == ""


def test_being_turned_away_means_coming_back_within_the_window(make_bench):
    bench = make_bench()
    bench.server.script = {"check_in": [rejection()]}
    assert bench.wake() == from_30_to_60_s
    assert bench.records[0].outcome is SessionOutcome.TURNED_AWAY
    assert bench.records[0].round == 0


@pytest.mark.parametrize("step", [Step.CHECK_IN, Step.DOWNLOAD, Step.REPORT, Step.UPLOAD])
def test_without_an_answer_the_same_request_goes_out_after_5_then_10_seconds(make_bench, step):
    bench = make_bench()
    wake_until(bench, step)
    name = step.name.lower()
    bench.server.script = {name: [NO_ANSWER, NO_ANSWER]}
    assert [bench.wake(), bench.wake()] == [5.0, 10.0]
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED


@pytest.mark.parametrize("step", [Step.CHECK_IN, Step.DOWNLOAD, Step.REPORT, Step.UPLOAD])
def test_after_three_tries_the_phone_checks_in_a_quarter_of_an_hour_later(make_bench, step):
    bench = make_bench()
    wake_until(bench, step)
    bench.server.script = {step.name.lower(): [NO_ANSWER] * 3}
    bench.wake()
    bench.wake()
    assert bench.wake() == about_15_min
    assert bench.records[-1].outcome is SessionOutcome.FAILED
    assert bench.phone.step is Step.CHECK_IN


def test_a_retried_upload_sends_the_same_bytes(make_bench):
    bench = make_bench()
    bench.server.script = {"upload": [NO_ANSWER]}
    bench.run_session()
    first, second = (
        request
        for request, step in zip(bench.server.requests, bench.server.log, strict=True)
        if step == "upload"
    )
    assert first.content == second.content


def test_a_503_says_itself_how_long_to_wait(make_bench):
    bench = make_bench()
    wake_until(bench, Step.UPLOAD)
    bench.server.script = {"upload": [errors.Unavailable("busy", retry_after_s=77.0)]}
    assert bench.wake() == 77.0
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED


def test_a_truncated_body_is_sent_again_after_5_seconds(make_bench):
    bench = make_bench()
    wake_until(bench, Step.UPLOAD)
    bench.server.script = {"upload": [errors.TruncatedBody("cut short")]}
    assert bench.wake() == 5.0
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED


@pytest.mark.parametrize("step", [Step.CHECK_IN, Step.DOWNLOAD, Step.REPORT, Step.UPLOAD])
def test_a_phone_whose_token_has_ended_enrols_again_and_goes_on(make_bench, step):
    bench = make_bench()
    wake_until(bench, step)
    before = bench.server.log.count("enrol")
    bench.server.script = {step.name.lower(): [errors.TokenExpired("old")]}
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED
    # The first check-in enrols too, and once more after the refusal.
    assert bench.server.log.count("enrol") - before == (2 if step is Step.CHECK_IN else 1)


def test_a_request_that_comes_too_often_waits_as_long_as_the_server_says(make_bench):
    bench = make_bench()
    wake_until(bench, Step.UPLOAD)
    bench.server.script = {"upload": [errors.RateLimited("slowly", retry_after_s=41.0)]}
    assert bench.wake() == 41.0
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED


@pytest.mark.parametrize("step", [Step.REPORT, Step.UPLOAD])
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (errors.RoundClosed("over"), SessionOutcome.LATE),
        (errors.AssignmentExpired("gone"), SessionOutcome.LATE),
        (errors.ReportConflict("another"), SessionOutcome.REFUSED),
        (errors.ImplausibleReport("no"), SessionOutcome.REFUSED),
        (errors.DigestMismatch("other bytes"), SessionOutcome.REFUSED),
        (errors.NotFound("no such assignment"), SessionOutcome.REFUSED),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_any_other_refusal_drops_the_delta_until_the_retry_window(make_bench, step, error, outcome):
    bench = make_bench()
    wake_until(bench, step)
    bench.server.script = {step.name.lower(): [error]}
    assert bench.wake() == from_30_to_60_s
    assert bench.records[-1].outcome is outcome
    assert bench.records[-1].shape.endswith("#")
    bench.run_session()
    assert bench.server.log.count("check_in") == 2
    assert bench.server.log.count("download") == 4, "it must train again"


@pytest.mark.parametrize("step", [Step.CHECK_IN, Step.REPORT, Step.UPLOAD])
@pytest.mark.parametrize(
    "error",
    [
        errors.Unauthenticated("who?"),
        errors.UnsupportedVersion("too old"),
        errors.DeviceRevoked("away"),
        errors.AttestationNeeded("prove it", challenge="c"),
        errors.AttestationFailed("no"),
    ],
)
def test_a_device_that_is_not_wanted_comes_back_after_four_hours(make_bench, step, error):
    bench = make_bench()
    wake_until(bench, step)
    bench.server.script = {step.name.lower(): [error]}
    assert bench.wake() == about_4_h


def test_an_unknown_population_is_left_alone_for_four_hours(make_bench):
    bench = make_bench()
    bench.server.script = {"check_in": [errors.NotFound("no such population")]}
    assert bench.wake() == about_4_h
    assert bench.records[-1].outcome is SessionOutcome.REFUSED


def test_an_unknown_plan_field_is_never_trained_on(make_bench):
    bench = make_bench()
    plan = {**msgspec.to_builtins(bench.server.plan), "differential_privacy": True}
    answer = bench.server._check_in(httpx.Request("POST", "http://server"))
    fields = {**json.loads(answer.content), "plan": plan}
    bench.server.script = {"check_in": [httpx.Response(201, content=json.dumps(fields).encode())]}
    assert bench.wake() == about_15_min
    assert bench.server.log == ["enrol", "check_in"]
    assert "differential_privacy" in bench.records[-1].detail


def test_a_phone_enrols_once_and_sends_its_token_from_then_on(make_bench):
    bench = make_bench()
    bench.server.script = {"enrol": [NO_ANSWER]}
    bench.run_session()
    assert bench.server.log[:3] == ["enrol", "enrol", "check_in"]
    assert {r.headers.get("authorization") for r in bench.server.requests[2:]} == {"Bearer t"}


def test_a_delta_without_an_answer_is_announced_again_under_the_same_assignment(make_bench):
    bench = make_bench()
    bench.server.script = {"upload": [NO_ANSWER] * 3}
    assert bench.run_session().outcome is SessionOutcome.FAILED
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.ACCEPTED, "-v[]+^")
    assert bench.server.log.count("download") == 3
    reports = [
        request.content
        for request, step in zip(bench.server.requests, bench.server.log, strict=True)
        if step == "report"
    ]
    assert len(set(reports)) == 1


def test_under_another_assignment_the_phone_trains_anew(make_bench):
    bench = make_bench()
    bench.server.script = {"upload": [NO_ANSWER] * 3}
    bench.run_session()
    bench.server.assignment_id = "a2"
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED
    assert bench.server.log.count("download") == 4


def test_a_silent_phone_is_never_heard_of_again_for_its_assignment(make_bench):
    bench = make_bench(drop_out=1.0)
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.DROPPED, "-v[!")
    for _ in range(3):
        assert bench.run_session().outcome is SessionOutcome.TURNED_AWAY
    assert set(bench.server.log) == {"enrol", "check_in", "download"}
    assert bench.server.log.count("download") == 3


def test_a_plan_the_model_cannot_follow_gives_the_place_back(make_bench):
    bench = make_bench(plan=Plan(batch_size=99))
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.FAILED, "-v[*")
    assert "batch_size=99" in record.detail
    assert json.loads(bench.server.requests[-1].content) == {"outcome": "failed"} | {
        "num_examples": 0,
        "bytes": 0,
        "sha256": None,
        "loss": None,
        "train_s": None,
        "metrics": {},
    }


def test_a_phone_with_too_few_examples_says_so(make_bench):
    bench = make_bench(plan=Plan(eligibility=Eligibility(min_examples=8)))
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.FAILED, "-v[!")
    assert json.loads(bench.server.requests[-1].content)["outcome"] == "not_eligible"


def test_a_damaged_download_gives_the_place_back(make_bench):
    bench = make_bench()
    bench.server.script = {"download": [httpx.Response(200, content=b"rubbish")]}
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.FAILED, "-*")
    assert bench.server.log[-1] == "report"


def test_a_delta_that_is_not_finite_is_never_sent(make_bench):
    bench = make_bench(plan=Plan(learning_rate=1e38, epochs=3))
    with np.errstate(all="ignore"):
        record = bench.run_session()
    assert record.outcome is SessionOutcome.FAILED
    assert "upload" not in bench.server.log


def test_a_phone_that_leaves_gives_an_open_place_back(make_bench):
    bench = make_bench()
    wake_until(bench, Step.REPORT)
    bench.phone.leave()
    assert bench.server.log[-1] == "abort"
    assert bench.records[-1].shape == "-v[]!"
    bench.phone.leave()
    assert bench.server.log.count("abort") == 1


def test_leaving_a_server_that_is_gone_is_no_error(make_bench):
    bench = make_bench()
    wake_until(bench, Step.TRAIN)
    bench.server.script = {"abort": [NO_ANSWER]}
    bench.phone.leave()
    assert bench.phone.step is Step.CHECK_IN


def test_the_waits_can_be_shortened(make_bench):
    policy = RetryPolicy(tries=2, first_wait_s=0.01, no_answer_s=1.0, jitter=0.0)
    bench = make_bench(retry=policy)
    bench.server.script = {"check_in": [NO_ANSWER, NO_ANSWER]}
    assert bench.wake() == pytest.approx(0.01)
    assert bench.wake() == pytest.approx(1.0)


def test_the_same_round_gives_the_same_bytes_whatever_happened_before(make_bench):
    calm, troubled = make_bench(), make_bench()
    troubled.server.script = {"check_in": [rejection(), NO_ANSWER], "download": [NO_ANSWER]}
    calm.run_session()
    troubled.run_session()
    troubled.run_session()
    assert calm.server.requests[-1].content == troubled.server.requests[-1].content


@pytest.mark.parametrize("codec", ["float32", "int8+zstd", "int4", "topk:0.1+zlib"])
def test_the_delta_travels_in_the_codec_of_the_assignment(make_bench, artifact, codec):
    bench = make_bench()
    bench.server.codec = codec
    bench.run_session()
    report, upload = bench.server.requests[-2:]
    delta = codec_named(codec).decode(upload.content, artifact.manifest.weight_spec)
    assert delta.any()
    assert json.loads(report.content)["bytes"] == len(upload.content)


def test_the_same_phone_rounds_the_same_delta_alike(make_bench):
    bodies = []
    for _ in range(2):
        bench = make_bench()
        bench.server.codec = "int4"
        bench.run_session()
        bodies.append(bench.server.requests[-1].content)
    assert bodies[0] == bodies[1]


def test_a_phone_offers_every_encoding(make_bench):
    bench = make_bench()
    bench.wake()
    offered = json.loads(bench.server.requests[-1].content)["capabilities"]["codecs"]
    assert offered == list(ENCODINGS)


def test_a_codec_the_phone_does_not_know_gives_the_place_back(make_bench):
    bench = make_bench()
    bench.server.codec = "jpeg"
    assert bench.run_session().outcome is SessionOutcome.FAILED
    assert json.loads(bench.server.requests[-1].content)["outcome"] == "failed"

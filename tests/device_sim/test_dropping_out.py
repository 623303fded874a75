"""Phones fall silent at any point of a session, and transfers break off and are tried again."""

import pytest
from pocketfed.device_sim.conditions import BELIEVABLE, Conditions
from pocketfed.device_sim.conditions.compute import LogNormalCompute
from pocketfed.device_sim.conditions.network import Network
from pocketfed.device_sim.conditions.silence import ANYWHERE, Point, Silence
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.phones.sessions import SessionOutcome
from pocketfed.protocol.plan import EvaluationSettings, RetryWindow, RoundSettings

NEVER = {point.name.lower(): 0.0 for point in Point}
# How far the server hears of a session that ends at a point, and what the session looks like.
HEARD = {
    Point.CHECKED_IN: (["enrol", "check_in"], "-!"),
    Point.DOWNLOADING: (["enrol", "check_in", "download", "download"], "-!"),
    Point.TRAINING: (["enrol", "check_in", *["download"] * 3], "-v[!"),
    Point.TRAINED: (["enrol", "check_in", *["download"] * 3], "-v[]!"),
    Point.UPLOADING: (["enrol", "check_in", *["download"] * 3, "report", "upload"], "-v[]+!"),
    Point.UPLOADED: (["enrol", "check_in", *["download"] * 3, "report", "upload"], "-v[]+!"),
}


def only(point):
    return Silence(**{**NEVER, point.name.lower(): 1.0})


@pytest.mark.parametrize("point", Point)
def test_a_phone_falls_silent_where_it_is_told_to(make_bench, point):
    bench = make_bench(drop_out=1.0, silence=only(point))
    record = bench.run_session()
    log, shape = HEARD[point]
    assert (record.outcome, record.shape) == (SessionOutcome.DROPPED, shape)
    assert bench.server.log == log
    assert bench.run_session().outcome is SessionOutcome.TURNED_AWAY
    assert bench.server.log == [*log, "check_in"], "it is never heard of again"


def test_an_upload_that_ends_in_the_middle_announces_all_of_it(make_bench):
    bench = make_bench(drop_out=1.0, silence=only(Point.UPLOADING))
    bench.run_session()
    request = bench.server.requests[-1]
    assert len(request.content) == int(request.headers["Content-Length"]) // 2


def settings(**changes):
    fields = {
        "goal": 3,
        "over_selection": 2.0,
        "minimum_fraction": 0.1,
        "rounds": 1,
        "retry": RetryWindow(min_s=300.0, max_s=600.0),
        "compute_timeout_s": 60.0,
        "upload_timeout_s": 60.0,
        "selection_timeout_s": 200.0,
        "report_timeout_s": 400.0,
    }
    return RoundSettings(**{**fields, **changes})


@pytest.fixture(scope="module")
def owned(make_examples):
    return Listed([make_examples(12, seed=device) for device in range(10)])


def run(host, owned, conditions, wanted, *, until_s):
    clock, heard = VirtualClock(), []
    server = host(wanted, clock=clock)
    fleet = VirtualFleet(
        FleetSettings(population="people", conditions=conditions),
        owned=owned,
        session=server.session,
        clock=clock,
        observe=heard.append,
    )
    fleet.run(until=lambda: clock.now() > until_s or len(server.history().checkpoints) > 1)
    return server.history(), heard


@pytest.mark.parametrize(
    ("point", "accepted"), [(Point.UPLOADING, 0), (Point.TRAINED, 0), (Point.UPLOADED, 3)]
)
def test_the_server_has_what_arrived_whole_and_nothing_else(host, owned, point, accepted):
    conditions = Conditions(drop_out=1.0, silence=only(point))
    history, heard = run(host, owned, conditions, settings(), until_s=150.0)
    assert history.rounds[0].accepted == accepted
    assert {record.outcome for record in heard if record.round} <= {
        SessionOutcome.DROPPED,
        SessionOutcome.LATE,
    }


def test_a_phone_that_measures_falls_silent_too(host, owned):
    conditions = Conditions(drop_out=1.0, silence=only(Point.UPLOADED))
    measured = settings(rounds=1, evaluation=EvaluationSettings(goal=2))
    clock, heard = VirtualClock(), []
    server = host(measured, clock=clock)
    fleet = VirtualFleet(
        FleetSettings(population="people", conditions=conditions),
        owned=owned,
        session=server.session,
        clock=clock,
        observe=heard.append,
    )
    fleet.run(until=lambda: bool(server.history().evaluations) or clock.now() > 5000)
    assert server.history().evaluations, "what arrived counts, although nobody heard the answer"
    assert "-v()!" in {record.shape for record in heard}


def test_transfers_that_break_off_are_tried_again_until_they_pass(host, owned):
    conditions = Conditions(drop_out=0.0, network=Network(failure=0.4))
    wanted = settings(goal=8, over_selection=1.25)
    history, heard = run(host, owned, conditions, wanted, until_s=5000.0)
    again, _ = run(host, owned, conditions, wanted, until_s=5000.0)
    accepted = [record for record in heard if record.outcome is SessionOutcome.ACCEPTED]
    assert sum(summary.accepted for summary in history.rounds) == len(accepted) == 8
    assert any(record.ended_s - record.began_s >= 5.0 for record in accepted), "none was retried"
    assert history.checkpoints[-1].sha256 == again.checkpoints[-1].sha256


def test_a_record_knows_its_instants_and_its_tier(host, owned):
    conditions = Conditions(drop_out=0.0, compute=LogNormalCompute(5000.0))
    _, heard = run(host, owned, conditions, settings(), until_s=5000.0)
    for record in heard:
        if record.outcome is SessionOutcome.ACCEPTED:
            phone = conditions.of_phone(seed=0, device=record.device)
            assert record.ended_s - record.began_s > phone.compute_s(4)
            assert record.tier == ""
    assert heard == sorted(heard, key=lambda record: record.ended_s)


def test_believable_phones_finish_a_task_and_a_seed_repeats_it(host, make_examples):
    owned = Listed([make_examples(12, seed=device) for device in range(24)])
    wanted = settings(
        retry=RetryWindow(min_s=1800.0, max_s=3600.0),
        selection_timeout_s=86_400.0,
        report_timeout_s=86_400.0,
        compute_timeout_s=900.0,
        upload_timeout_s=900.0,
    )
    history, heard = run(host, owned, BELIEVABLE, wanted, until_s=10 * 86_400.0)
    again, _ = run(host, owned, BELIEVABLE, wanted, until_s=10 * 86_400.0)
    assert history.checkpoints[-1].version == 1
    assert history.checkpoints[-1].sha256 == again.checkpoints[-1].sha256
    assert {record.tier for record in heard} <= {"low", "mid", "high"}


def test_dropping_out_anywhere_loses_as_many_sessions_as_stated():
    phone = Conditions(drop_out=0.08, silence=ANYWHERE).of_phone(seed=0, device=0)
    lost = sum(phone.drops_out(round_=round_, attempt=1) for round_ in range(5000))
    assert lost / 5000 == pytest.approx(0.08, abs=0.012)

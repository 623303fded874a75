"""A phone takes part only while it is eligible, and stops at once when it no longer is."""

import json
import math

import numpy as np
import pytest
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.conditions.availability import DayAndNight
from pocketfed.device_sim.conditions.compute import PhoneSpeed
from pocketfed.device_sim.conditions.needs import Need, Stretch
from pocketfed.device_sim.conditions.network import PhoneNetwork
from pocketfed.device_sim.conditions.traces import TracedPresence
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.phones.retrying import Step
from pocketfed.device_sim.phones.sessions import SessionOutcome
from pocketfed.protocol.plan import Eligibility, Plan, RetryWindow, RoundSettings

SLOW = PhoneSpeed(100.0)  # seconds for the one batch of a bench's phone
THREE_TIMES = ((10.0, 200.0), (1000.0, 1250.0), (5000.0, 9000.0))


def away_but(*intervals):
    return TracedPresence(intervals, None)


class Lacks:
    """A phone that lacks one thing between two instants, and nothing else ever."""

    def __init__(self, need, gone_s, back_s):
        self._need = need
        self._edges = [0.0, gone_s, back_s, math.inf]

    def at(self, now_s):
        place = sum(edge <= now_s for edge in self._edges[1:])
        needs = self._need if place == 1 else Need(0)
        return Stretch(self._edges[place], self._edges[place + 1], needs)


def reported(bench):
    return [
        json.loads(request.content)["outcome"]
        for request, step in zip(bench.server.requests, bench.server.log, strict=True)
        if step == "report"
    ]


def test_a_wake_that_falls_into_a_busy_hour_moves_to_the_next_eligible_instant(make_bench):
    bench = make_bench(presence=away_but((500.0, 900.0)))
    assert bench.wake() == 500.0
    assert bench.server.log == []
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED


def test_the_wait_for_the_next_session_ends_only_when_the_phone_is_eligible(make_bench):
    bench = make_bench(presence=away_but((0.0, 20.0), (700.0, 900.0)))
    bench.run_session()
    assert bench.clock.now() == 700.0


def test_a_phone_that_will_never_be_eligible_again_is_never_due(make_bench):
    bench = make_bench(presence=away_but((0.0, 20.0)))
    bench.run_session()
    assert bench.clock.now() == math.inf


def test_training_stops_at_the_instant_the_phone_is_needed_and_the_server_is_told(make_bench):
    bench = make_bench(presence=Lacks(Need.IDLE, 40.0, 400.0), speed=SLOW)
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.INTERRUPTED, "-v[!")
    assert record.detail == "no longer idle"
    assert (record.began_s, record.ended_s) == (0.0, 40.0)
    assert reported(bench) == ["interrupted"]
    assert bench.clock.now() == 400.0
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED
    assert bench.server.log.count("download") == 4, "it begins anew"


def test_without_a_network_the_phone_cannot_say_that_it_stopped(make_bench):
    bench = make_bench(presence=Lacks(Need.UNMETERED, 40.0, 400.0), speed=SLOW)
    assert bench.run_session().outcome is SessionOutcome.INTERRUPTED
    assert "report" not in bench.server.log
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.ACCEPTED, "-v[]+^")


def test_finished_work_goes_out_in_the_next_session_if_the_place_is_still_open(make_bench):
    network = PhoneNetwork(3, 0, down_bytes_s=math.inf, up_bytes_s=1.0)
    bench = make_bench(presence=Lacks(Need.IDLE, 150.0, 700.0), speed=SLOW, network=network)
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.INTERRUPTED, "-v[]+!")
    assert bench.server.log.count("upload") == 0
    assert bench.clock.now() == 700.0
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.ACCEPTED, "-v[]+^")
    assert bench.server.log.count("download") == 3, "it did not train again"
    assert reported(bench) == ["completed", "completed"]


def test_finished_work_survives_two_interruptions(make_bench):
    network = PhoneNetwork(3, 0, down_bytes_s=math.inf, up_bytes_s=3.0)
    bench = make_bench(presence=away_but(*THREE_TIMES), speed=SLOW, network=network)
    outcomes = [bench.run_session().outcome for _ in range(3)]
    assert outcomes == [SessionOutcome.INTERRUPTED] * 2 + [SessionOutcome.ACCEPTED]
    assert bench.server.log.count("download") == 3


def test_finished_work_of_a_place_that_is_gone_is_dropped(make_bench):
    network = PhoneNetwork(3, 0, down_bytes_s=math.inf, up_bytes_s=1.0)
    bench = make_bench(presence=Lacks(Need.IDLE, 150.0, 700.0), speed=SLOW, network=network)
    bench.run_session()
    bench.server.assignment_id = "a2"
    bench.run_session()
    assert bench.server.log.count("download") == 4, "it trained anew"


@pytest.mark.parametrize("need", ["charging", "idle", "unmetered"])
def test_a_phone_in_a_state_the_plan_forbids_gives_its_place_back(make_bench, need):
    presence = Lacks(Need[need.upper()], 0.0, math.inf)
    bench = make_bench(presence=presence, wakes_with=Need(0))
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.FAILED, "-!")
    assert record.detail == f"not {need}"
    assert reported(bench) == ["not_eligible"]
    assert "download" not in bench.server.log


def test_a_plan_that_asks_for_less_is_trained_on_the_same_phone(make_bench):
    plan = Plan(eligibility=Eligibility(charging=False, idle=False))
    presence = Lacks(Need.CHARGING | Need.IDLE, 0.0, math.inf)
    bench = make_bench(presence=presence, wakes_with=Need(0), plan=plan)
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED


def test_a_warm_phone_takes_longer(make_bench):
    class Warm:
        def at(self, now_s):
            return Stretch(0.0, math.inf, slowdown=1.5)

    waits = []
    for options in ({}, {"presence": Warm()}):
        bench = make_bench(speed=SLOW, **options)
        while bench.phone.step is not Step.TRAIN:
            bench.wake()
        waits.append(bench.wake())
    assert waits == [100.0, 150.0]


@pytest.fixture(scope="module")
def owned(make_examples):
    return Listed([make_examples(12, seed=device) for device in range(16)])


SETTINGS = RoundSettings(
    goal=4,
    over_selection=1.5,
    rounds=3,
    retry=RetryWindow(min_s=600.0, max_s=1200.0),
    selection_timeout_s=86_400.0,
    report_timeout_s=86_400.0,
    compute_timeout_s=7200.0,
)


def run(host, owned, conditions, *, until_s=20 * 86_400.0, settings=SETTINGS):
    clock, heard = VirtualClock(), []
    server = host(settings, clock=clock)
    fleet = VirtualFleet(
        FleetSettings(population="people", conditions=conditions),
        owned=owned,
        session=server.session,
        clock=clock,
        observe=heard.append,
    )
    fleet.run(until=lambda: len(server.history().checkpoints) == 4 or clock.now() > until_s)
    return server.history(), heard


def test_a_fleet_that_sleeps_and_wakes_commits_its_rounds_and_a_seed_repeats_it(host, owned):
    conditions = Conditions(availability=DayAndNight())
    history, heard = run(host, owned, conditions)
    again, _ = run(host, owned, conditions)
    assert history.checkpoints[-1].version == 3
    assert history.checkpoints[-1].sha256 == again.checkpoints[-1].sha256
    for record in heard:
        presence = DayAndNight().of_phone(seed=0, device=record.device)
        assert not presence.at(record.began_s).lacking, "a session began while it slept"
        middle = np.linspace(record.began_s, record.ended_s, 9, endpoint=False)
        assert not any(presence.at(instant).lacking for instant in middle)


def test_a_task_with_limits_turns_away_phones_that_do_not_meet_them(host, owned):
    eager = Conditions(availability=DayAndNight(), wakes_with=Need.UNMETERED, drop_out=0.0)
    _, heard = run(host, owned, eager)
    declined = [record for record in heard if record.shape == "-!"]
    accepted = [record for record in heard if record.outcome is SessionOutcome.ACCEPTED]
    assert declined
    assert accepted
    for record in declined:
        lacking = DayAndNight().of_phone(seed=0, device=record.device).at(record.began_s).lacking
        assert lacking & (Need.CHARGING | Need.IDLE)
        assert not lacking & Need.UNMETERED
    for record in accepted:
        presence = DayAndNight().of_phone(seed=0, device=record.device)
        assert not presence.at(record.began_s).lacking


def test_a_fleet_of_phones_that_never_come_back_ends_its_run(host, owned):
    class Gone:
        def of_phone(self, *, seed, device):
            return away_but((0.0, 1.0))

    history, heard = run(host, owned, Conditions(availability=Gone(), drop_out=1.0))
    assert history.checkpoints[-1].version == 0
    assert heard

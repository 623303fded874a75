"""Sessions say which tiers a deadline excludes."""

import pytest
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.conditions.compute import TieredCompute
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.following.exclusion import by_tier
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.phones.sessions import SessionOutcome, SessionRecord
from pocketfed.protocol.plan import RetryWindow, RoundSettings


def record(outcome, *, tier, round_=1, num_examples=0):
    return SessionRecord(
        device=0,
        round=round_,
        attempt=1,
        outcome=outcome,
        shape="-",
        num_examples=num_examples,
        bytes_up=0,
        bytes_down=0,
        began_s=10.0,
        ended_s=25.0,
        tier=tier,
    )


def test_sessions_are_summed_by_tier():
    found = by_tier(
        [
            record(SessionOutcome.LATE, tier="low", num_examples=9),
            record(SessionOutcome.ACCEPTED, tier="low", num_examples=5),
            record(SessionOutcome.ACCEPTED, tier="mid", num_examples=7),
            record(SessionOutcome.TURNED_AWAY, tier="mid", round_=0),
        ]
    )
    assert set(found) == {"low", "mid"}
    assert (found["low"].given, found["low"].excluded_share) == (2, 0.5)
    assert (found["low"].num_examples, found["low"].session_s) == (5, 30.0)
    assert (found["mid"].given, found["mid"].excluded_share) == (1, 0.0)


def test_a_deadline_between_two_tiers_excludes_the_slower_one_and_only_it(host, make_examples):
    owned = Listed([make_examples(50, seed=device) for device in range(16)])
    clock, heard = VirtualClock(), []
    # Ten batches: 16 s on a low phone, 6 s on a middle one.
    settings = RoundSettings(
        goal=16,
        over_selection=1.0,
        minimum_fraction=0.1,
        rounds=1,
        compute_timeout_s=10.0,
        selection_timeout_s=20.0,
        report_timeout_s=60.0,
        retry=RetryWindow(min_s=100.0, max_s=200.0),
    )
    server = host(settings, clock=clock)
    fleet = VirtualFleet(
        FleetSettings(
            population="people", conditions=Conditions(drop_out=0.0, compute=TieredCompute())
        ),
        owned=owned,
        session=server.session,
        clock=clock,
        observe=heard.append,
    )
    fleet.run(until=lambda: clock.now() > 90.0)
    found = by_tier(heard)
    assert found["low"].excluded_share == 1.0
    assert found["mid"].excluded_share == 0.0
    assert found["low"].num_examples == 0
    assert found["low"].given / 16 == pytest.approx(0.53, abs=0.3)

"""The census counts who came and who took part, in a byte a phone."""

import pickle

import numpy as np
from pocketfed.device_sim.following.census import Came, Census
from pocketfed.device_sim.following.tallies import Tallies
from pocketfed.device_sim.phones.sessions import SessionOutcome, SessionRecord
from pocketfed.protocol.plan import RoundKind

ACCEPTED, LATE, TURNED_AWAY = (
    SessionOutcome.ACCEPTED,
    SessionOutcome.LATE,
    SessionOutcome.TURNED_AWAY,
)


def session(device, outcome=ACCEPTED, *, round_=1, reason="", kind=RoundKind.TRAIN, tier="low"):
    return SessionRecord(
        device=device,
        round=round_,
        attempt=1,
        outcome=outcome,
        shape="-",
        num_examples=5,
        bytes_up=10,
        bytes_down=20,
        reason=reason,
        kind=kind,
        tier=tier,
    )


def test_how_far_phones_came_is_known_for_each() -> None:
    census = Census()
    census.add(session(1, TURNED_AWAY, round_=0, reason="round_full"))
    census.add(session(2, LATE, reason="round_closed"))
    census.add(session(3))
    census.add(session(3, LATE, reason="round_closed"))
    came = [Came(int(one)) for one in census.came(5)]
    assert came == [
        Came(0),
        Came.CHECKED_IN,
        Came.CHECKED_IN | Came.GIVEN_A_PLACE,
        Came.CHECKED_IN | Came.GIVEN_A_PLACE | Came.TOOK_PART,
        Came(0),
    ]


def test_a_phone_is_new_once() -> None:
    census = Census()
    assert [census.add(session(4, round_=round_)) for round_ in (1, 2)] == [True, False]
    assert (census.accepted, census.distinct) == (2, 1)


def test_cohorts_are_the_accepted_of_each_attempt() -> None:
    census = Census()
    for record in (session(7), session(5), session(6, LATE), session(5, round_=2)):
        census.add(record)
    assert [(r, a, c.tolist()) for r, a, c in census.cohorts()] == [(1, 1, [7, 5]), (2, 1, [5])]
    assert census.cohort(9, 1).tolist() == []


def test_measuring_is_no_taking_part() -> None:
    census = Census()
    census.add(session(2, kind=RoundKind.EVALUATE))
    assert (census.accepted, census.distinct, census.tiers) == (0, 0, {})
    assert census.came(3)[2] == Came.CHECKED_IN


def test_check_ins_without_a_place_are_counted_by_reason() -> None:
    census = Census()
    census.add(session(1, TURNED_AWAY, round_=0, reason="round_full"))
    census.add(session(1, TURNED_AWAY, round_=0, reason="round_full"))
    census.add(session(1, TURNED_AWAY, round_=0))
    assert census.turned_away == {"round_full": 2, "turned_away": 1}


def test_a_million_phones_take_megabytes() -> None:
    census = Census()
    census.add(session(999_999))
    rng = np.random.default_rng(0)
    for round_ in range(1, 51):
        for device in rng.integers(0, 1_000_000, 100).tolist():
            census.add(session(device, round_=round_))
    assert len(pickle.dumps(census)) < 1_100_000


def test_sums_at_a_version_stay_those_of_the_first_look() -> None:
    tallies = Tallies()
    tallies.add(session(1))
    first = tallies.standing_at(1)
    tallies.add(session(2, TURNED_AWAY, round_=0, reason="round_full"))
    assert tallies.standing_at(1) == first
    assert (first.check_ins, first.turned_away, first.bytes_up) == (1, {}, 10)
    later = tallies.standing_at(2)
    assert (later.check_ins, later.turned_away) == (2, {"round_full": 1})


def test_another_process_takes_the_census_over() -> None:
    tallies, other = Tallies(), Tallies()
    tallies.add(session(1))
    version = tallies.standing_at(1)
    other.take_over(pickle.loads(pickle.dumps(tallies)))
    other.add(session(1, round_=2))
    assert other.standing_at(1) == version
    assert (other.census.accepted, other.census.distinct) == (2, 1)
    assert other.of(2, 1).newcomers == 0

"""Day and night: the share of eligible phones and the lengths of their stretches are as stated."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.device_sim.conditions.availability import (
    HOUR_S,
    MOST_SHARE,
    AlwaysThere,
    DayAndNight,
    _Piece,
    _piece,
)
from pocketfed.device_sim.conditions.needs import EVERYTHING, Need, held_until, next_instant
from pocketfed.protocol.errors import ConfigError

MODEL = DayAndNight()
WEEK_S = 7 * 24 * HOUR_S


def phones(count, model=MODEL, *, seed=0):
    return [model.of_phone(seed=seed, device=device) for device in range(count)]


def pieces(habits, numbers):
    return [list(habits.drawn(number)) for number in numbers]


def eligible_at(presence, instants):
    return np.array([not presence.at(instant).lacking for instant in instants])


@pytest.mark.parametrize(
    "model",
    [MODEL, DayAndNight(swing=0.3, peak_hour=22.0, session_h_median=3.0, zones_h=(5.5,))],
    ids=["as cited", "another day"],
)
def test_the_share_of_eligible_phones_follows_the_stated_curve_at_every_hour(model):
    hours = np.arange(24) + 0.5
    instants = ((hours[:, None] + 24 * np.arange(18)) * HOUR_S).ravel()
    found, stated = np.zeros(24), np.zeros(24)
    for habits in phones(250, model):
        found += eligible_at(habits, instants).reshape(24, -1).mean(axis=1)
        local = hours + habits.zone_h
        wave = 1 + model.swing * np.cos(2 * np.pi * (local - model.peak_hour) / 24)
        stated += habits.share * wave / (1 + model.swing)
    assert found / 250 == pytest.approx(stated / 250, abs=0.02)


def test_in_the_population_four_times_as_many_are_there_at_three_as_at_fifteen():
    population = phones(400)

    def share_at(hour):
        instants = [(day * 24 + hour) * HOUR_S for day in range(12)]
        return np.mean([eligible_at(habits, instants) for habits in population])

    assert share_at(3) / share_at(15) == pytest.approx(4.0, rel=0.15)


def test_one_phone_keeps_its_own_curve_over_the_years():
    habits = phones(1)[0]
    for hour in (3.0, 15.0):
        instants = (np.arange(3000) * 24 + hour) * HOUR_S
        assert eligible_at(habits, instants).mean() == pytest.approx(
            habits.share_at(hour * HOUR_S), abs=0.035
        )


def test_a_history_drawn_anew_begins_as_if_it_had_always_gone_on():
    later_s = 6 * HOUR_S
    found, stated = [], []
    for habits in phones(3000):
        instant = habits.edge_s(1) + later_s
        stretch = next(one for one in habits.drawn(1) if instant < one.ends_s)
        found.append(not stretch.lacking)
        stated.append(habits.share_at(instant))
    assert np.mean(found) == pytest.approx(np.mean(stated), abs=0.015)


def test_stretches_are_log_normal_with_a_median_of_seven_hours():
    lengths = [
        (stretch.ends_s - stretch.begins_s) / HOUR_S
        for habits in phones(250)
        for piece in pieces(habits, [1])
        for stretch in piece[1:-1]
        if not stretch.lacking
    ]
    logs = np.log(lengths)
    assert math.exp(np.median(logs)) == pytest.approx(7.0, rel=0.05)
    assert logs.std() == pytest.approx(0.5, abs=0.03)
    skew = np.mean(((logs - logs.mean()) / logs.std()) ** 3)
    assert abs(skew) < 0.25, "the logarithms are not normal"


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    device=st.integers(0, 10**6),
    instants=st.lists(st.floats(0.0, 20 * WEEK_S), min_size=2, max_size=8),
)
def test_any_instant_is_found_directly_and_always_the_same(seed, device, instants):
    habits = MODEL.of_phone(seed=seed, device=device)
    forwards = [habits.at(instant) for instant in instants]
    _piece.cache_clear()
    assert [habits.at(instant) for instant in reversed(instants)] == forwards[::-1]
    for instant, stretch in zip(instants, forwards, strict=True):
        assert stretch.begins_s <= instant < stretch.ends_s


@settings(max_examples=15, deadline=None)
@given(device=st.integers(0, 10**6))
def test_stretches_follow_each_other_without_holes(device):
    habits = MODEL.of_phone(seed=1, device=device)
    now_s = 0.0
    while now_s < 6 * WEEK_S:
        stretch = habits.at(now_s)
        assert stretch.ends_s > now_s
        assert stretch.begins_s <= now_s
        now_s = stretch.ends_s


def test_an_instant_years_away_costs_one_piece_of_history():
    habits = phones(1)[0]
    _piece.cache_clear()
    habits.at(20 * 52 * WEEK_S)
    assert _piece.cache_info().misses == 1


def test_no_more_of_a_history_is_drawn_than_is_asked_for():
    habits = phones(1)[0]
    coming = habits.drawn(1)
    found = _Piece(coming).at(habits.edge_s(1))
    following = next(coming)
    assert (found.begins_s, found.ends_s) == (habits.edge_s(1), following.begins_s)


@settings(max_examples=25, deadline=None)
@given(device=st.integers(0, 10**6), now_s=st.floats(0.0, 4 * WEEK_S))
def test_the_next_instant_is_eligible_and_none_before_it_is(device, now_s):
    habits = MODEL.of_phone(seed=2, device=device)
    found = next_instant(habits, now_s)
    assert not habits.at(found).lacking
    before = np.linspace(now_s, found, 40, endpoint=False)
    assert not eligible_at(habits, before[before < found]).any()


@settings(max_examples=25, deadline=None)
@given(device=st.integers(0, 10**6), now_s=st.floats(0.0, 4 * WEEK_S))
def test_a_phone_stays_eligible_until_the_instant_it_is_not(device, now_s):
    habits = MODEL.of_phone(seed=3, device=device)
    begins = next_instant(habits, now_s)
    ends = held_until(habits, begins, needs=EVERYTHING, horizon_s=begins + 9 * WEEK_S)
    assert habits.at(ends).lacking
    assert eligible_at(habits, np.linspace(begins, ends, 40, endpoint=False)).all()
    assert held_until(habits, begins, needs=EVERYTHING, horizon_s=begins + 1e-3) <= begins + 1e-3


def test_who_waits_for_less_wakes_no_later():
    for habits in phones(40):
        waits = [next_instant(habits, 0.0, needs=need) for need in (Need.IDLE, EVERYTHING)]
        assert waits[0] <= waits[1]
        assert next_instant(habits, 5.0, needs=Need(0)) == 5.0


def test_who_needs_less_is_held_no_shorter_and_for_some_longer():
    habits = MODEL.of_phone(seed=0, device=0)
    begins = next_instant(habits, 0.0)
    held = [
        held_until(habits, begins, needs=needs, horizon_s=begins + 20 * WEEK_S)
        for needs in (Need(0), Need.IDLE, EVERYTHING)
    ]
    assert held[0] == begins + 20 * WEEK_S
    assert held[0] > held[1] >= held[2]
    assert habits.at(held[1]).lacking & Need.IDLE


def test_time_zones_are_shared_out_and_shift_the_day():
    zones = DayAndNight(zones_h=(-8.0, 0.0, 8.0))
    found = phones(300, zones)
    counts = [sum(one.zone_h == zone for one in found) for zone in zones.zones_h]
    assert min(counts) > 70
    for habits in found[:20]:
        local_three = (3.0 - habits.zone_h) % 24 * HOUR_S
        assert habits.share_at(local_three) == pytest.approx(habits.share)


def test_the_shares_of_phones_are_log_normal_with_the_stated_mean_and_a_limit():
    shares = np.array([habits.share for habits in phones(1500)])
    assert shares.mean() == pytest.approx(0.4, abs=0.03)
    assert np.log(shares[shares < MOST_SHARE]).std() == pytest.approx(0.5, abs=0.05)
    assert shares.max() <= MOST_SHARE


def test_a_day_that_stretches_so_long_cannot_follow_is_refused():
    with pytest.raises(ConfigError, match=r"swing=0\.6: .* 0\.38 is the most"):
        DayAndNight(session_h_median=12.0)


@pytest.mark.parametrize(("field", "value"), [("share_mean", 1.5), ("zones_h", ())])
def test_numbers_no_phone_can_have_are_refused_by_name(field, value):
    with pytest.raises(ConfigError, match=field):
        DayAndNight(**{field: value})


def test_a_phone_that_is_always_there_never_waits():
    always = AlwaysThere().of_phone(seed=0, device=0)
    assert next_instant(always, 12.5) == 12.5
    assert held_until(always, 0.0, needs=EVERYTHING, horizon_s=1e9) == 1e9

"""Battery and heat: a phone waits until it is charged enough, slows when warm, stops when hot."""

import numpy as np
import pytest
from pocketfed.device_sim.conditions.availability import DayAndNight
from pocketfed.device_sim.conditions.battery_and_heat import Battery, Heat, as_charged_and_warm
from pocketfed.device_sim.conditions.needs import Need, Stretch, next_instant

EVENING = Stretch(1000.0, 50_000.0)


def lived(stretch, *, battery=None, heat=None, seed=0):
    rng = np.random.default_rng(seed)
    return list(as_charged_and_warm([stretch], battery=battery, heat=heat, rng=rng))


def test_a_phone_plugged_in_empty_waits_until_it_holds_a_fifth():
    empty = Battery(least_level=0.05, most_level=0.05, charged_per_h=0.5)
    waiting, ready = lived(EVENING, battery=empty)
    assert waiting.lacking == Need.BATTERY_NOT_LOW
    assert waiting.ends_s - EVENING.begins_s == pytest.approx(0.15 / 0.5 * 3600)
    assert (ready.lacking, ready.ends_s) == (Need(0), EVENING.ends_s)
    assert waiting.ends_s == ready.begins_s


def test_a_phone_plugged_in_half_full_does_not_wait():
    assert lived(EVENING, battery=Battery(least_level=0.5, most_level=0.5)) == [EVENING]


def test_a_phone_unplugged_before_it_is_charged_enough_never_takes_part():
    slow = Battery(least_level=0.0, most_level=0.0, charged_per_h=0.001)
    assert [one.lacking for one in lived(EVENING, battery=slow)] == [Need.BATTERY_NOT_LOW]


def test_a_phone_that_does_not_charge_is_left_as_it_is():
    unplugged = Stretch(0.0, 9.0, Need.CHARGING | Need.IDLE)
    assert lived(unplugged, battery=Battery(0.0, 0.0), heat=Heat(working_c_mean=99.0)) == [
        unplugged
    ]


@pytest.mark.parametrize(
    ("working_c", "slowdown"), [(20.0, 1.0), (38.0, 1.0), (41.5, 1.5), (45.0, 2.0), (60.0, 2.0)]
)
def test_a_warm_phone_slows_down_in_a_straight_line(working_c, slowdown):
    heat = Heat()
    assert heat.slowdown(working_c) == pytest.approx(slowdown)
    (stretch,) = lived(EVENING, heat=Heat(working_c_mean=working_c, working_c_sd=0.0))
    assert stretch.slowdown == pytest.approx(slowdown)
    assert (Need.NOT_HOT in stretch.lacking) == (working_c > heat.limit_c)


def test_battery_and_heat_leave_the_rest_of_a_history_alone():
    bare = DayAndNight().of_phone(seed=0, device=1)
    lived_in = DayAndNight(battery=Battery(), heat=Heat()).of_phone(seed=0, device=1)
    asked = Need.CHARGING | Need.IDLE | Need.UNMETERED
    for now_s in np.linspace(0, 40 * 86400, 300):
        assert bare.at(now_s).lacking == lived_in.at(now_s).lacking & asked


def test_battery_and_heat_make_some_phones_come_later_and_none_earlier():
    def first_instants(model):
        phones = [model.of_phone(seed=0, device=device) for device in range(150)]
        return np.array([next_instant(phone, 0.0) for phone in phones])

    bare = first_instants(DayAndNight())
    later = first_instants(DayAndNight(battery=Battery(), heat=Heat())) - bare
    assert later.min() == 0
    assert 0.05 < (later > 0).mean() < 0.4

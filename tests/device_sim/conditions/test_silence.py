"""Silence: drop-outs come as often as stated, and share out among the points as stated."""

from collections import Counter

import pytest
from pocketfed.device_sim.conditions import Conditions, Place
from pocketfed.device_sim.conditions.silence import ANYWHERE, Point, Silence
from pocketfed.protocol.errors import ConfigError


def points(conditions, count=6000):
    phone = conditions.of_phone(seed=0, device=3)
    return Counter(phone.silent_at(Place(round_)) for round_ in range(count))


def test_the_points_come_as_often_as_stated():
    found = points(Conditions(drop_out=0.5, silence=ANYWHERE))
    assert found[None] / 6000 == pytest.approx(0.5, abs=0.02)
    assert found[Point.TRAINING] / 6000 == pytest.approx(0.25, abs=0.02)
    for point in set(Point) - {Point.TRAINING}:
        assert found[point] / 6000 == pytest.approx(0.05, abs=0.01)


def test_where_a_phone_falls_silent_does_not_change_whether_it_does():
    somewhere, in_training = (
        Conditions(drop_out=0.3, silence=silence).of_phone(seed=0, device=1)
        for silence in (ANYWHERE, Silence())
    )
    for round_ in range(300):
        fates = [phone.drops_out(round_=round_, attempt=1) for phone in (somewhere, in_training)]
        assert fates[0] == fates[1]


def test_unless_told_otherwise_phones_fall_silent_in_training():
    assert set(points(Conditions(drop_out=1.0), 200)) == {Point.TRAINING}


@pytest.mark.parametrize("weights", [{"training": 0.5}, {"training": 1.5, "trained": -0.5}])
def test_weights_that_are_no_shares_are_refused(weights):
    with pytest.raises(ConfigError, match="add up to 1"):
        Silence(**weights)

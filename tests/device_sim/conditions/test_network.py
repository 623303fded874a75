"""Network: a transfer strays from its phone's mean, is capped on its way up, may break off."""

import numpy as np
import pytest
from pocketfed.device_sim.conditions import Conditions, Place
from pocketfed.device_sim.conditions.network import Network, Way


def phone(**changes):
    return Conditions(network=Network(**changes)).of_phone(seed=0, device=1).network


@pytest.mark.parametrize("way", Way)
def test_the_speed_of_a_transfer_strays_as_far_as_stated(way):
    network = phone(transfer_cv=0.4)
    steady = phone().transfer_s(10**6, way, Place(1))
    times = [network.transfer_s(10**6, way, Place(round_)) for round_ in range(1500)]
    speeds = steady / np.array(times)
    assert (speeds.mean(), speeds.std()) == pytest.approx((1.0, 0.4), abs=0.03)
    assert times[3] == network.transfer_s(10**6, way, Place(3))
    assert speeds.min() >= 0.1 * (1 - 1e-9)


def test_up_and_down_stray_apart():
    network = phone(transfer_cv=0.4)
    shares = {
        network.transfer_s(10**6, way, Place(1)) / phone().transfer_s(10**6, way, Place(1))
        for way in Way
    }
    assert len(shares) == 2


def test_the_way_up_can_be_capped_and_the_way_down_is_not():
    capped = phone(up_cap_bytes_s=1e6)
    assert capped.transfer_s(2 * 10**6, Way.UP, Place(1)) >= 2.0
    assert capped.transfer_s(10**6, Way.DOWN, Place(1)) == phone().transfer_s(
        10**6, Way.DOWN, Place(1)
    )


def test_transfers_break_off_as_often_as_stated_and_each_try_anew():
    network = phone(failure=0.2)
    found = [
        network.breaks_off(way, Place(round_), tries=tries)
        for way in Way
        for round_ in range(600)
        for tries in range(2)
    ]
    assert np.mean(found) == pytest.approx(0.2, abs=0.03)
    assert not any(phone().breaks_off(way, Place(9), tries=0) for way in Way)

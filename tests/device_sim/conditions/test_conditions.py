"""Random streams and what is drawn from them: independent of the order of events."""

import math

import numpy as np
import pytest
from pocketfed.device_sim.conditions import Conditions, arrivals_s, on_a_real_clock, shuffle_stream
from pocketfed.device_sim.conditions.compute import LogNormalCompute
from pocketfed.device_sim.streams import Purpose, stream


def draws(*keys):
    return tuple(stream(7, *keys).integers(0, 2**63, 4))


def test_a_stream_depends_on_its_keys_and_on_nothing_else():
    first = draws(Purpose.SHUFFLE, 3, 5)
    for other in range(20):
        draws(Purpose.SHUFFLE, other, 1)
    assert draws(Purpose.SHUFFLE, 3, 5) == first


def test_streams_of_other_seeds_purposes_devices_and_rounds_differ():
    found = {
        tuple(stream(seed, purpose, device, round_).integers(0, 2**63, 2))
        for seed in (0, 1)
        for purpose in Purpose
        for device in range(5)
        for round_ in range(5)
    }
    assert len(found) == 2 * len(Purpose) * 25


def test_the_shuffle_of_a_round_does_not_depend_on_the_order_of_rounds():
    forwards = [shuffle_stream(seed=1, device=2, round_=r).permutation(9) for r in (1, 2, 3)]
    backwards = [shuffle_stream(seed=1, device=2, round_=r).permutation(9) for r in (3, 2, 1)]
    assert np.array_equal(forwards, backwards[::-1])


def test_a_phone_is_the_same_whenever_it_is_drawn():
    conditions = Conditions()
    assert conditions.of_phone(seed=1, device=4) == conditions.of_phone(seed=1, device=4)
    assert conditions.of_phone(seed=1, device=4) != conditions.of_phone(seed=1, device=5)


def test_drop_outs_come_as_often_as_asked_and_always_the_same():
    phone = on_a_real_clock(drop_out=0.06, seed=0, device=1)
    fates = [phone.drops_out(round_=round_, attempt=1) for round_ in range(5000)]
    assert np.mean(fates) == pytest.approx(0.06, abs=0.012)
    assert phone.drops_out(round_=17, attempt=1) == fates[17]


@pytest.mark.parametrize(("drop_out", "expected"), [(0.0, False), (1.0, True)])
def test_the_limits_of_drop_out_are_exact(drop_out, expected):
    phone = on_a_real_clock(drop_out=drop_out, seed=0, device=0)
    assert {phone.drops_out(round_=r, attempt=1) for r in range(200)} == {expected}


def test_bandwidths_follow_the_cited_log_normals():
    phones = [Conditions().of_phone(seed=0, device=device) for device in range(1500)]
    down = np.log([phone.network.down_bytes_s / 1000 for phone in phones])
    up = np.log([phone.network.up_bytes_s / 1000 for phone in phones])
    assert (down.mean(), down.std()) == pytest.approx((8.55, 0.48), abs=0.05)
    assert (up.mean(), up.std()) == pytest.approx((8.04, 0.70), abs=0.05)
    assert np.corrcoef(down, up)[0, 1] == pytest.approx(0.45, abs=0.06)


def test_compute_time_grows_with_the_steps():
    phones = [
        Conditions(compute=LogNormalCompute(20.0)).of_phone(seed=0, device=d) for d in range(1500)
    ]
    times = np.array([phone.compute_s(100) for phone in phones])
    assert np.median(times) == pytest.approx(2.0, rel=0.1)
    assert np.log(times).std() == pytest.approx(0.6, abs=0.05)


def test_on_a_real_clock_nothing_is_modelled():
    phone = on_a_real_clock(drop_out=0.0, seed=0, device=0)
    assert (phone.compute_s(10), phone.download_s(10**6), phone.upload_s(10**6)) == (0, 0, 0)


def test_arrivals_lie_in_the_window_and_differ():
    found = arrivals_s(seed=0, phones=50, within_s=2.0)
    assert all(0 <= at < 2.0 for at in found)
    assert len(set(found)) == 50
    assert math.isclose(arrivals_s(seed=0, phones=4, within_s=4.0)[3], 2 * found[3])


def test_a_phone_shuffles_differently_in_every_round():
    orders = {
        tuple(shuffle_stream(seed=1, device=2, round_=round_).permutation(20))
        for round_ in range(30)
    }
    assert len(orders) == 30

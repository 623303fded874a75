"""Compute: tiers as Yang et al. 2021 measured them, scaled to the model at hand."""

from collections import Counter

import numpy as np
import pytest
from pocketfed.device_sim.conditions import Place, on_a_real_clock
from pocketfed.device_sim.conditions.compute import (
    FLASH_TIERS,
    MULTIPLICATIONS,
    LogNormalCompute,
    TieredCompute,
    step_cost,
)
from pocketfed.device_sim.conditions.of_phone import Conditions
from pocketfed.protocol.errors import ConfigError
from pocketfed.protocol.plan import RoundKind


def drawn(compute, count):
    return [compute.of_phone(0.0, seed=0, device=device) for device in range(count)]


def of_tier(name, **changes):
    (tier,) = (tier for tier in FLASH_TIERS if tier.name == name)
    phones = Conditions(compute=TieredCompute(**changes))
    return next(
        found
        for device in range(4000)
        if (found := phones.of_phone(seed=0, device=device)).speed.tier == tier.name
    )


def test_the_tiers_come_in_the_cited_mix():
    counts = Counter(speed.tier for speed in drawn(TieredCompute(), 6000))
    shares = [counts[tier.name] / 6000 for tier in FLASH_TIERS]
    assert shares == pytest.approx([0.532, 0.464, 0.004], abs=0.015)
    assert counts["high"] > 0


@pytest.mark.parametrize(
    ("tier", "batch_ms", "sd_ms"),
    [("low", 1642, 99.5), ("mid", 588, 23.9), ("high", 179, 2.3)],
)
def test_a_batch_takes_what_was_measured_on_its_tier(tier, batch_ms, sd_ms):
    phone = of_tier(tier)
    found = [1000 * phone.compute_s(1, place=Place(round_)) for round_ in range(1500)]
    assert np.mean(found) == pytest.approx(batch_ms, rel=0.01)
    assert np.std(found) == pytest.approx(sd_ms, rel=0.1)


def test_five_epochs_of_600_examples_take_a_low_phone_eight_minutes():
    assert of_tier("low").compute_s(300) == pytest.approx(493, rel=0.2)


def test_a_deadline_of_270_s_leaves_out_the_low_phones_that_is_more_than_half():
    tiered = Conditions(compute=TieredCompute())
    phones = [tiered.of_phone(seed=0, device=device) for device in range(3000)]
    too_slow = {phone.speed.tier for phone in phones if phone.compute_s(300) > 270.0}
    assert too_slow == {"low"}
    assert sum(phone.compute_s(300) > 270.0 for phone in phones) / 3000 == pytest.approx(
        0.532, abs=0.03
    )


def test_a_session_takes_the_same_whenever_it_is_asked_for_and_others_differ():
    phone = of_tier("low")
    places = [Place(1), Place(2), Place(1, 2), Place(1, 1, RoundKind.EVALUATE)]
    found = [phone.compute_s(10, place=place) for place in places]
    assert found == [phone.compute_s(10, place=place) for place in places]
    assert len(set(found)) == 4


def test_time_grows_with_the_batch_and_with_the_cost_of_a_step():
    phone = of_tier("mid")
    assert phone.compute_s(7, batch_size=50) == pytest.approx(5 * phone.compute_s(7))
    cheap = of_tier("mid", cost=step_cost(MULTIPLICATIONS["mnist_2nn"]))
    assert cheap.compute_s(7) == pytest.approx(0.01155 * phone.compute_s(7), rel=1e-3)
    assert step_cost(MULTIPLICATIONS["mnist_cnn"]) == pytest.approx(0.713, abs=1e-3)


def test_without_tiers_the_size_of_a_batch_is_in_its_time():
    speed = LogNormalCompute(30.0).of_phone(0.0, seed=0, device=0)
    for size in (10, 50):
        taken = speed.session_batch_s(Place(1), batch_size=size, seed=0, device=0)
        assert taken == pytest.approx(0.030)
    assert speed.tier == ""


def test_tiers_that_do_not_add_up_are_refused():
    with pytest.raises(ConfigError, match="add up to 1"):
        TieredCompute(tiers=FLASH_TIERS[:2])


def test_a_real_clock_has_no_modelled_time():
    assert on_a_real_clock(drop_out=0.0, seed=0, device=0).compute_s(99, batch_size=7) == 0.0

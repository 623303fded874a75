"""Mischief: each kind has its share of the phones, for life."""

from collections import Counter

import pytest
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.conditions.mischief import Mischief, MischiefShares
from pocketfed.protocol.errors import ConfigError


def test_each_kind_has_its_share_of_the_phones():
    shares = MischiefShares(**{kind.value: 0.05 for kind in Mischief})
    found = Counter(shares.of_phone(seed=0, device=device) for device in range(8000))
    for kind in Mischief:
        assert found[kind] / 8000 == pytest.approx(0.05, abs=0.01)
    assert found[None] / 8000 == pytest.approx(0.55, abs=0.02)


def test_a_phone_keeps_its_manners():
    shares = MischiefShares(late=0.5)
    assert [shares.of_phone(seed=7, device=device) for device in range(50)] == [
        shares.of_phone(seed=7, device=device) for device in range(50)
    ]


def test_nobody_misbehaves_unless_told_to():
    assert not any(MischiefShares().of_phone(seed=0, device=device) for device in range(500))


@pytest.mark.parametrize("shares", [{"late": 0.7, "lie": 0.7}, {"late": -0.1}])
def test_shares_beyond_all_phones_are_refused(shares):
    with pytest.raises(ConfigError, match="at most"):
        MischiefShares(**shares)


def test_timers_drift_apart_and_one_kind_of_phone_has_a_wrong_clock():
    drifting = Conditions(drift_ppm=50.0)
    waits = [drifting.of_phone(seed=0, device=device).timer_s(1e6) for device in range(400)]
    assert sum(waits) / 400 == pytest.approx(1e6, abs=10)
    assert max(waits) - min(waits) == pytest.approx(300, abs=100)
    hasty = Conditions(mischief=MischiefShares(wrong_clock=1.0)).of_phone(seed=0, device=0)
    assert hasty.timer_s(500.0) == pytest.approx(5.0)
    assert Conditions().of_phone(seed=0, device=0).timer_s(12.25) == 12.25

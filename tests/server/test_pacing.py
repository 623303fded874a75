"""When devices come back: thinly spread if there are many, together if there are few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.protocol.messages import Rejection, RejectionReason
from pocketfed.server.taking_part.pacing import DAY_S, Demand, window

DEMAND = {"devices": 1000, "places": 13, "period_s": 120.0, "opens_in_s": 300.0}


def demand(**changes: float) -> Demand:
    return Demand(**{**DEMAND, "selection_timeout_s": 600.0, **changes})


def test_of_a_crowd_as_many_come_per_period_as_there_are_places() -> None:
    found = window(demand(), RejectionReason.ROUND_FULL)
    mean_s = (found.min_s + found.max_s) / 2
    assert 1000 / mean_s == pytest.approx(13 / 120.0)
    assert found.max_s == pytest.approx(3 * found.min_s)


def test_a_small_population_is_asked_back_as_the_next_round_opens() -> None:
    found = window(demand(devices=20), RejectionReason.ROUND_FULL)
    assert (found.min_s, found.max_s) == (300.0, 312.0)


def test_nobody_is_asked_back_within_a_minute_or_after_a_day() -> None:
    assert window(demand(devices=20, opens_in_s=-5.0)).min_s == 60.0
    assert window(demand(devices=10**9)).max_s == DAY_S


@pytest.mark.parametrize("reason", [RejectionReason.NO_TASK, RejectionReason.NOT_CAPABLE])
def test_a_device_that_cannot_serve_soon_stays_away_for_a_day(reason: RejectionReason) -> None:
    assert window(demand(), reason).min_s == DAY_S


@given(
    devices=st.integers(0, 10**9),
    places=st.integers(1, 10**5),
    period_s=st.floats(60.0, 1e6),
    opens_in_s=st.floats(-1e6, 1e6),
)
def test_a_window_is_always_one_a_device_can_draw_from(
    devices: int, places: int, period_s: float, opens_in_s: float
) -> None:
    found = window(demand(devices=devices, places=places, period_s=period_s, opens_in_s=opens_in_s))
    assert 60.0 <= found.min_s <= found.max_s <= 1.1e6 + DAY_S


def test_a_task_without_a_window_paces_by_the_devices_it_has_seen(server) -> None:
    server.create_task(goal=1, over_selection=1.0, retry=None)
    phones = [server.phone() for _ in range(6)]
    answers = [phone.check_in() for phone in phones]
    rejections = [answer for answer in answers if isinstance(answer, Rejection)]
    assert len(rejections) == 5
    server.clock.wait(61.0)
    late = server.phone().check_in()
    # Seven devices and one place: a mean of seven periods of a minute.
    assert (late.retry.min_s, late.retry.max_s) == (210.0, 630.0)


def test_a_round_that_takes_longer_paces_more_slowly(server) -> None:
    server.create_task(
        goal=1, over_selection=1.0, retry=None, compute_timeout_s=900.0, report_timeout_s=900.0
    )
    worker = server.phone()
    worker.check_in()
    server.clock.wait(600.0)
    worker.deliver(server.delta(0.5))
    for phone in [server.phone() for _ in range(9)]:
        phone.check_in()
    server.clock.wait(61.0)
    answer = server.phone().check_in()
    assert answer.retry.min_s == 0.5 * 600.0 * 11


def test_a_window_that_the_operator_has_set_is_used_as_it_is(server) -> None:
    server.create_task(goal=1, over_selection=1.0)
    server.phone().check_in()
    assert server.phone().check_in().retry == server.settings().retry

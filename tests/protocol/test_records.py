"""Records check what they read, name the field that is wrong, and let the protocol grow."""

import numpy as np
import pytest
from pocketfed.protocol.errors import MalformedPayload
from pocketfed.protocol.messages import CheckIn, Report
from pocketfed.protocol.plan import Plan, RetryWindow, RoundSettings


def test_a_record_survives_json() -> None:
    plan = Plan(epochs=3, learning_rate=0.25)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"epochs": 0}', "Plan.epochs: Expected `int` >= 1"),
        (b'{"epochs": 1.5}', "Plan.epochs"),
        (b'{"learning_rate": 0}', "Plan.learning_rate"),
        (b'{"eligibility": {"idle": "yes"}}', "Plan.eligibility.idle"),
    ],
)
def test_a_wrong_field_is_named(raw: bytes, sentence: str) -> None:
    with pytest.raises(MalformedPayload, match=sentence):
        Plan.from_json(raw)


def test_a_device_refuses_a_plan_it_does_not_fully_know() -> None:
    with pytest.raises(MalformedPayload, match="unknown field `dropout`"):
        Plan.from_json(b'{"dropout": 0.5}')


def test_other_messages_ignore_fields_they_do_not_know() -> None:
    message = CheckIn.from_json(b'{"client_version": "1", "battery": 0.9}')
    assert message == CheckIn(client_version="1")


def test_plain_values_are_checked_like_json() -> None:
    with pytest.raises(MalformedPayload, match=r"Report.num_examples"):
        Report.of({"outcome": "completed", "num_examples": -1})


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(MalformedPayload, match="lies before"):
        RetryWindow.from_json(b'{"min_s": 5, "max_s": 1}')


def test_an_instant_is_drawn_inside_the_window() -> None:
    rng = np.random.default_rng(0)
    draws = [RetryWindow(min_s=2, max_s=3).draw(rng) for _ in range(100)]
    assert 2 <= min(draws) < max(draws) <= 3


def test_capacity_and_minimum_round_up() -> None:
    settings = RoundSettings(goal=11, over_selection=1.3, minimum_fraction=0.8)
    assert (settings.capacity, settings.minimum) == (15, 9)


@pytest.mark.parametrize("sha256", ["ab" * 32 + "\n", "AB" * 32, "ab" * 31, "../" + "ab" * 32])
def test_a_digest_is_64_lower_case_hex_digits_and_nothing_else(sha256: str) -> None:
    with pytest.raises(MalformedPayload, match=r"Report.sha256"):
        Report.of({"outcome": "completed", "sha256": sha256})


def test_text_that_is_not_utf_8_is_malformed() -> None:
    with pytest.raises(MalformedPayload):
        CheckIn.from_json(b'{"client_version": "\xff\xfe"}')

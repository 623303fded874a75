"""What sleeping phones keep: everything, in a few bytes each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.device_sim.phones.memory import NEW, Memories, Memory
from pocketfed.device_sim.workers import Done
from pocketfed.protocol.messages import Device, Outcome, Report

PHONES = 5
UNSENT = ("a1", Done(Report(outcome=Outcome.COMPLETED), b"body", np.ones(2, np.float32)))

texts = st.text(max_size=40) | st.binary(max_size=40).map(bytes.hex)
memories = st.builds(
    Memory,
    device=st.builds(Device, device_id=texts, token=texts),
    drawn=st.integers(0, 2**32 - 1),
    held=st.frozensets(st.sampled_from("abc")),
    forsaken=st.none() | st.just("a1"),
    unsent=st.none() | st.just(UNSENT),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, PHONES - 1), memories), max_size=12))
def test_each_phone_remembers_what_it_kept_last(kept):
    found, expected = Memories(PHONES), dict.fromkeys(range(PHONES), NEW)
    for device, memory in kept:
        found[device] = expected[device] = memory
    assert {device: found[device] for device in range(PHONES)} == expected


def identity(number: int) -> Device:
    digits = np.random.default_rng(number)
    return Device(device_id=digits.bytes(16).hex(), token=digits.bytes(32).hex())


@pytest.fixture
def crowd():
    found = Memories(1000)
    for device in range(1000):
        found[device] = Memory(device=identity(device), drawn=3, held=frozenset({"m" * 64}))
    return found


def test_an_identity_takes_little_more_than_its_bytes(crowd):
    assert len(crowd._identities) <= 1000 * (16 + 32 + 8) + 1


def test_a_new_token_takes_the_place_of_the_older_one(crowd):
    before = len(crowd._identities)
    for number in range(1000, 1100):
        crowd[7] = Memory(device=identity(number))
    assert len(crowd._identities) == before
    assert crowd[7].device == identity(1099)
    assert crowd[8].device == identity(8)


def test_what_few_phones_have_costs_the_others_nothing(crowd):
    crowd[3] = Memory(forsaken="a1", unsent=UNSENT)
    assert (len(crowd._forsaken), len(crowd._unsent)) == (1, 1)
    crowd[3] = Memory()
    assert (len(crowd._forsaken), len(crowd._unsent)) == (0, 0)

"""The agenda of a large fleet: the order of a heap, without a heap of everybody."""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.device_sim.agenda import FEWEST, Agenda

waits_s = st.sampled_from([0.0, 0.0, 0.5, 1.0, 7.0, 300.0, math.inf])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    phones=st.sampled_from([0, 1, 7, FEWEST, FEWEST + 2, 1500]),
    waits=st.lists(waits_s, min_size=1, max_size=9),
)
def test_phones_come_as_a_heap_of_pairs_would_give_them(seed, phones, waits):
    # Few distinct instants, so that many phones are due at the same one.
    first = np.random.default_rng(seed).integers(0, 50, phones) * 0.5
    agenda, heap = Agenda(first.copy()), [(due_s, device) for device, due_s in enumerate(first)]
    heapq.heapify(heap)
    for number in range(2 * phones):
        expected = heap[0] if heap and heap[0][0] < math.inf else None
        found = agenda.pop()
        assert found == expected
        if found is None:
            break
        again_s = found[0] + waits[number % len(waits)]
        heapq.heapreplace(heap, (again_s, found[1]))
        agenda.put(found[1], again_s)


def test_of_a_large_fleet_only_the_soonest_are_sorted():
    phones = 100_000
    agenda = Agenda(np.arange(phones, dtype=np.float64))
    for instant_s in range(3000):
        assert agenda.pop() == (instant_s, instant_s)
        agenda.put(instant_s, instant_s + 1e9)
        assert len(agenda._soon) <= phones // 50


@pytest.mark.parametrize("phones", [0, 3])
def test_where_nobody_is_ever_due_there_is_nobody(phones):
    assert Agenda(np.full(phones, math.inf)).pop() is None

"""Room: many lengths, few shapes, and no trace of what was there before."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.device_sim.training.room import Room


@given(st.lists(st.integers(1, 70), min_size=1, max_size=8))
def test_an_array_lies_at_the_beginning_of_a_power_of_four(lengths: list[int]) -> None:
    room = Room()
    for length in lengths:
        array = np.random.default_rng(length).normal(size=(length, 2)).astype(np.float32)
        (held,) = room.hold([array])
        assert len(held) in (1, 4, 16, 64, 256)
        assert length <= len(held) < max(2, 4 * length)
        np.testing.assert_array_equal(held[:length], array)


def test_arrays_of_one_shape_share_their_memory() -> None:
    room = Room()
    (first,) = room.hold([np.zeros(60)])
    (second,) = room.hold([np.ones(64)])
    assert first is second

"""Streams: drawn one by one, all at once, or from the middle, the numbers are the same."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.device_sim.first_draws import first_uniforms
from pocketfed.device_sim.streams import Purpose, stream, stream_after

seeds = st.integers(0, 2**32) | st.integers(0, 2**140)


@settings(max_examples=50, deadline=None)
@given(seed=seeds, purpose=st.sampled_from(Purpose))
def test_first_draws_are_those_of_the_streams(seed, purpose):
    expected = [stream(seed, purpose, key).random() for key in range(20)]
    np.testing.assert_array_equal(first_uniforms(seed, purpose, count=20), expected)


@settings(max_examples=50, deadline=None)
@given(seed=seeds, numbers=st.integers(0, 40))
def test_a_stream_goes_on_where_its_numbers_end(seed, numbers):
    whole = stream(seed, Purpose.RETRY, 3)
    for _ in range(numbers):
        whole.uniform(5.0, 9.0)
    assert stream_after(numbers, seed, Purpose.RETRY, 3).random() == whole.random()

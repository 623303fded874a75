"""Ownership: the same phone owns the same for life, in whatever process one asks."""

import pickle

import numpy as np
import pytest
from pocketfed.device_sim.ownership import Partitioned

PARTS = [np.array([4, 0]), np.array([3]), np.array([1, 2, 5])]


@pytest.fixture
def owned(make_examples):
    return Partitioned.of_parts(make_examples(6), PARTS)


def test_each_phone_owns_its_part_of_the_data_set(owned, make_examples):
    everything = make_examples(6)
    assert owned.phones == 3
    for device, part in enumerate(PARTS):
        assert np.array_equal(owned.of(device).x, everything.x[part])
        assert np.array_equal(owned.of(device).y, everything.y[part])
        assert owned.num_examples(device) == len(part)


def test_a_copy_in_another_process_gives_the_same_examples(owned):
    copy = pickle.loads(pickle.dumps(owned))
    for device in range(owned.phones):
        assert np.array_equal(copy.of(device).x, owned.of(device).x)


def test_who_owns_what_takes_four_bytes_an_example(owned):
    assert owned.rows.nbytes == 4 * 6


def test_a_memory_mapped_data_set_serves_as_well(tmp_path, make_examples):
    everything = make_examples(6)
    np.save(tmp_path / "x.npy", everything.x)
    mapped = type(everything)(np.load(tmp_path / "x.npy", mmap_mode="r"), everything.y)
    owned = Partitioned.of_parts(mapped, PARTS)
    assert np.array_equal(owned.of(2).x, everything.x[PARTS[2]])
    assert not isinstance(owned.of(2).x, np.memmap)

"""Weight specs tile a vector; weights are named views of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketfed.protocol.errors import SpecMismatch
from pocketfed.protocol.weights import WeightEntry, Weights, WeightSpec

SHAPES = st.dictionaries(
    st.text("abc/_", min_size=1, max_size=8),
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
    max_size=6,
)


@given(SHAPES)
def test_a_spec_tiles_the_vector(shapes: dict[str, tuple[int, ...]]) -> None:
    spec = WeightSpec.of(shapes)
    covered = [i for e in spec.entries for i in range(e.offset, e.offset + e.size)]
    assert covered == list(range(spec.size))


@given(SHAPES)
def test_packed_arrays_come_back_by_name(shapes: dict[str, tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    weights = Weights.pack(WeightSpec.of(shapes), arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(weights[name], array)


def test_a_view_writes_to_the_vector() -> None:
    weights = WeightSpec.of({"kernel": (2, 3), "bias": (3,)}).zeros()
    weights["bias"][1] = 7
    assert weights.vector.tolist() == [0, 0, 0, 0, 0, 0, 0, 7, 0]


def test_frozen_names_do_not_train() -> None:
    spec = WeightSpec.of({"mean": (2,), "kernel": (2,)}, frozen=frozenset({"mean"}))
    assert [entry.trainable for entry in spec.entries] == [False, True]


@pytest.mark.parametrize(
    "entries",
    [
        [WeightEntry(name="a", shape=(2,), offset=1)],
        [WeightEntry(name="a", shape=(2,), offset=0), WeightEntry(name="b", shape=(), offset=1)],
        [WeightEntry(name="a", shape=(2,), offset=0), WeightEntry(name="b", shape=(), offset=3)],
        [WeightEntry(name="a", shape=(1,), offset=0), WeightEntry(name="a", shape=(1,), offset=1)],
        [WeightEntry(name="a", shape=(-1,), offset=0)],
    ],
    ids=["starts late", "overlap", "hole", "same name", "negative side"],
)
def test_a_layout_that_does_not_tile_is_refused(entries: list[WeightEntry]) -> None:
    with pytest.raises(SpecMismatch):
        WeightSpec(tuple(entries))


@pytest.mark.parametrize(
    "vector", [np.zeros(2, np.float32), np.zeros(3, np.float64), np.zeros((3, 1), np.float32)]
)
def test_a_vector_that_does_not_fit_is_refused(vector: np.ndarray) -> None:
    with pytest.raises(SpecMismatch, match="expected float32 and shape"):
        Weights(WeightSpec.of({"a": (3,)}), vector)


def test_a_missing_array_is_named() -> None:
    with pytest.raises(SpecMismatch, match="'bias': got nothing"):
        Weights.pack(WeightSpec.of({"bias": (1,)}), {})

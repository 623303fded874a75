"""Whatever aggregates: any order and any cut give the same bits, and they are the right ones."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.protocol import folding
from pocketfed.protocol.errors import ImplausibleReport
from pocketfed.server.folding import columns, sums
from pocketfed.server.folding.aggregators import aggregator_of, clipped, weighted_mean
from pocketfed.server.folding.norms import clip, l2_norm
from pocketfed.server.folding.sums import MAX_MAGNITUDE, SCALE, TOTAL_LIMIT, require_moderate

KINDS = [
    folding.WeightedMean(),
    folding.WeightedMean(clip_norm=1.5),
    folding.Mean(),
    folding.Mean(clip_norm=0.3),
    folding.TrimmedMean(fraction=0.2),
    folding.TrimmedMean(fraction=0.49, clip_norm=2.0),
    folding.Median(),
    folding.Median(clip_norm=0.7),
]
SUMS = KINDS[:4]
SIZE = 7
ELEMENTS = st.floats(min_value=-MAX_MAGNITUDE, max_value=MAX_MAGNITUDE, width=32)
DELTAS = st.lists(ELEMENTS, min_size=SIZE, max_size=SIZE)
REPORTS = st.lists(st.tuples(DELTAS, st.integers(1, 10_000)), min_size=1, max_size=12)
FEW = settings(max_examples=25, deadline=None)


def each_kind(kinds=KINDS):
    names = [f"{type(one).__name__}, clip_norm={one.clip_norm}" for one in kinds]
    return pytest.mark.parametrize("kind", kinds, ids=names)


def aggregate(kind, reports, *, size=SIZE, ways=1):
    aggregator = aggregator_of(kind)
    reports = [(np.array(delta, np.float32), n) for delta, n in reports]
    parts = [
        aggregator.fold(share, reports[share.updates.start : share.updates.stop])
        for share in aggregator.split(len(reports), size, ways)
    ]
    return aggregator.join(parts)


@each_kind()
@FEW
@given(reports=REPORTS, random=st.randoms(use_true_random=False))
def test_any_order_gives_the_same_bits(kind, reports, random) -> None:
    shuffled = list(reports)
    random.shuffle(shuffled)
    assert aggregate(kind, reports).tobytes() == aggregate(kind, shuffled).tobytes()


@each_kind()
@FEW
@given(reports=REPORTS, ways=st.integers(2, 20))
def test_any_cut_among_workers_gives_the_same_bits(kind, reports, ways) -> None:
    assert aggregate(kind, reports).tobytes() == aggregate(kind, reports, ways=ways).tobytes()


@each_kind()
@FEW
@given(reports=REPORTS)
def test_the_result_is_the_one_of_the_reference(kind, reference, reports) -> None:
    deltas = [(np.array(delta, np.float32), n) for delta, n in reports]
    expected = reference.aggregate(kind, deltas)
    # Half a unit of the sum for each delta's rounding; clipping rounds to float32 on top.
    slack = 2**-36 + (2**-22 if kind.clip_norm else 0.0)
    np.testing.assert_allclose(aggregate(kind, reports), expected, rtol=1e-12, atol=slack)


@each_kind()
def test_no_updates_come_to_zero(kind) -> None:
    for ways in (1, 3):
        update = aggregate(kind, [], ways=ways)
        assert update.tobytes() == np.zeros(SIZE).tobytes()


@each_kind()
def test_one_device_is_its_own_aggregate(kind) -> None:
    delta = np.array([0.5, -0.25, 0.0, 0.125, 0.0, 0.0, -0.0625], np.float32)
    expected = delta if kind.clip_norm is None else clip(delta, max_norm=kind.clip_norm)
    np.testing.assert_allclose(aggregate(kind, [(delta, 321)]), expected, rtol=0.0, atol=2**-37)


@each_kind()
def test_a_model_without_weights_has_an_empty_update(kind) -> None:
    assert aggregate(kind, [([], 3), ([], 4)], size=0, ways=2).shape == (0,)


@each_kind()
def test_the_sign_of_a_zero_depends_on_nobodys_turn(kind) -> None:
    signs = [np.full(SIZE, -0.0), np.zeros(SIZE), np.zeros(SIZE)]
    one = aggregate(kind, [(delta, 1) for delta in signs])
    other = aggregate(kind, [(delta, 1) for delta in reversed(signs)])
    assert one.tobytes() == other.tobytes() == np.zeros(SIZE).tobytes()
    assert aggregate(kind, [(signs[0], 1)] * 3).tobytes() == np.zeros(SIZE).tobytes()


@each_kind()
def test_large_models_are_cut_into_blocks_without_a_seam(kind) -> None:
    rng = np.random.default_rng(3)
    size = 2 * 65_536 + 11
    reports = [(rng.normal(0.0, 0.1, size).astype(np.float32), n) for n in (3, 1, 8)]
    whole = aggregate(kind, reports, size=size)
    assert whole.tobytes() == aggregate(kind, reports, size=size, ways=3).tobytes()
    edges = [0, 65_535, 65_536, 131_071, 131_072, size - 1]
    unclipped = type(kind)(**({"fraction": kind.fraction} if hasattr(kind, "fraction") else {}))
    cut = [(clip(d, max_norm=kind.clip_norm) if kind.clip_norm else d, n) for d, n in reports]
    few = aggregate(unclipped, [(delta[edges], n) for delta, n in cut], size=len(edges))
    assert whole[edges].tobytes() == few.tobytes()


@FEW
@given(REPORTS)
def test_the_weighted_sum_is_the_exact_sum_of_the_rounded_deltas(reports) -> None:
    examples = sum(num_examples for _, num_examples in reports)
    for index, element in enumerate(aggregate(folding.WeightedMean(), reports)):
        exact = sum(
            Fraction(round(Fraction(delta[index]) * 2**36), 2**36) * num_examples
            for delta, num_examples in reports
        )
        assert element == pytest.approx(float(exact / examples), rel=2**-51, abs=0.0)


@FEW
@given(REPORTS)
def test_the_weighted_mean_is_within_one_unit_of_the_true_one(reports) -> None:
    examples = sum(num_examples for _, num_examples in reports)
    for index, element in enumerate(aggregate(folding.WeightedMean(), reports)):
        true = math.fsum(delta[index] * num_examples for delta, num_examples in reports)
        assert abs(element - true / examples) <= 1 / SCALE


@FEW
@given(REPORTS, st.floats(0.0, 0.49))
def test_the_trimmed_mean_is_that_of_fsum(reports, fraction) -> None:
    cut = math.floor(round(fraction * len(reports), 9))
    for index, element in enumerate(aggregate(folding.TrimmedMean(fraction=fraction), reports)):
        kept = sorted(delta[index] for delta, _ in reports)[cut : len(reports) - cut]
        # Terms may cancel; the sum's own error is relative to the largest of them.
        assert element == pytest.approx(math.fsum(kept) / len(kept), rel=1e-13, abs=1e-14)


def test_weights_count_in_the_weighted_mean_alone() -> None:
    reports = [(np.zeros(SIZE), 1), (np.full(SIZE, 4.0), 3)]
    assert aggregate(folding.WeightedMean(), reports)[0] == 3.0
    assert aggregate(folding.Mean(), reports)[0] == 2.0
    assert aggregate(folding.Median(), reports)[0] == 2.0


def test_a_liar_moves_the_mean_and_not_the_median_nor_the_trimmed_mean() -> None:
    reports = [(np.full(SIZE, value), 1) for value in (1.0, 1.0, 1.0, 1.0, -8.0)]
    assert aggregate(folding.Mean(), reports)[0] == -0.8
    assert aggregate(folding.Median(), reports)[0] == 1.0
    assert aggregate(folding.TrimmedMean(fraction=0.2), reports)[0] == 1.0


def test_the_share_that_is_trimmed_is_not_short_by_a_rounding() -> None:
    """0.29 * 100 is 28.999999999999996 in binary."""
    reports = [(np.full(SIZE, float(value == 28)), 1) for value in range(100)]
    squares = np.square(np.arange(100.0))
    assert (
        columns.trimmed_mean(0.29)(squares[None, :].astype(np.float32))[0] == squares[29:71].mean()
    )
    assert aggregate(folding.TrimmedMean(fraction=0.29), reports)[0] == 0.0


@pytest.mark.parametrize("block_bytes", [1, 40, 100, 10_000])
def test_blocks_of_any_size_give_the_same_columns(block_bytes) -> None:
    deltas = np.random.default_rng(5).normal(size=(9, 23)).astype(np.float32)
    found = columns.reduce_columns(
        deltas, columns.median, rows=9, columns=range(2, 21), block_bytes=block_bytes
    )
    assert np.array_equal(found, np.median(deltas[:, 2:21].astype(np.float64), axis=0))


def test_the_table_of_deltas_leaves_no_file_behind(tmp_path) -> None:
    aggregator = aggregator_of(folding.Median(), scratch=tmp_path)
    (share,) = aggregator.split(2, 3, 1)
    aggregator.fold(share, [(np.ones(3, np.float32), 1)] * 2)
    assert list(tmp_path.iterdir()) == []


def test_the_largest_sum_that_is_admitted_does_not_overflow() -> None:
    largest = np.array([MAX_MAGNITUDE, -MAX_MAGNITUDE], np.float32)
    total = sums.total_of([(largest, TOTAL_LIMIT - 1)], size=2)
    assert sums.mean(total).tolist() == [MAX_MAGNITUDE, -MAX_MAGNITUDE]


def test_more_weight_than_the_sum_can_hold_is_refused() -> None:
    delta = np.zeros(1, np.float32)
    with pytest.raises(ImplausibleReport):
        sums.total_of([(delta, TOTAL_LIMIT - 1), (delta, 1)], size=1)


def test_more_weight_than_the_sum_can_hold_is_refused_when_parts_are_joined() -> None:
    part = sums.total_of([(np.zeros(1, np.float32), TOTAL_LIMIT // 2)], size=1)
    with pytest.raises(ImplausibleReport):
        sums.merge(part, part)


def test_halves_of_a_unit_are_rounded_to_even() -> None:
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float32) / np.float32(SCALE)
    total = sums.total_of([(halves, 1)], size=5)
    assert total.total.tolist() == [0, 2, 2, 0, -2]


@FEW
@given(DELTAS)
def test_the_norm_is_that_of_fsum(delta) -> None:
    vector = np.array(delta, np.float32)
    true = math.sqrt(math.fsum(element * element for element in delta))
    assert l2_norm(vector) == pytest.approx(true, rel=1e-15, abs=0.0)


def test_a_norm_that_overflows_is_infinite() -> None:
    assert l2_norm(np.full(3, 1e200)) == math.inf
    assert l2_norm(np.array([math.nan])) == math.inf


@FEW
@given(DELTAS, st.floats(1e-3, 30.0))
def test_a_clipped_delta_keeps_its_direction_and_is_no_longer_than_the_limit(
    delta, max_norm
) -> None:
    vector = np.array(delta, np.float32)
    after = clip(vector, max_norm=max_norm)
    norm = l2_norm(vector)
    if norm <= max_norm:
        assert after is vector
    else:
        assert l2_norm(after) <= max_norm * (1 + 1e-6)
        np.testing.assert_allclose(after * (norm / max_norm), vector, rtol=1e-6, atol=1e-37 * norm)


def test_clipping_is_the_aggregator_it_wraps() -> None:
    inner = weighted_mean()
    outer = clipped(inner, max_norm=1.0)
    assert outer.split is inner.split
    assert outer.join is inner.join


@pytest.mark.parametrize("extreme", [8.001, -8.001])
def test_an_element_beyond_eight_is_refused(extreme) -> None:
    with pytest.raises(ImplausibleReport, match="magnitude"):
        require_moderate(np.array([0.0, extreme], np.float32))


@pytest.mark.parametrize("edge", [8.0, -8.0])
def test_an_element_of_eight_is_taken(edge) -> None:
    require_moderate(np.array([0.0, edge], np.float32))

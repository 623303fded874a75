"""Who owns what: no example twice, none forgotten, nobody empty-handed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.device_sim.data import partitions
from pocketfed.device_sim.streams import Purpose, stream
from pocketfed.protocol.errors import ConfigError

LABELS = stream(0, Purpose.OWNERSHIP).integers(0, 10, 5000).astype(np.int32)


def rng(seed=0):
    return stream(seed, Purpose.OWNERSHIP, 1)


@settings(deadline=None, max_examples=60)
@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=300),
    share=st.floats(0, 1),
    alpha=st.sampled_from([1e-3, 0.1, 1.0, 100.0]),
    sigma=st.sampled_from([0.0, 1.0, 4.0]),
    seed=st.integers(0, 2**32),
)
def test_every_example_has_one_owner_and_every_phone_an_example(labels, share, alpha, sigma, seed):
    labels = np.array(labels, np.int32)
    phones = max(1, round(share * len(labels)))
    parts = partitions.unbalanced_dirichlet(
        labels, phones=phones, alpha=alpha, sigma=sigma, rng=rng(seed)
    )
    assert len(parts) == phones
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    assert min(len(part) for part in parts) >= 1


@settings(deadline=None, max_examples=60)
@given(
    total=st.integers(1, 10_000),
    phones=st.integers(1, 200),
    sigma=st.floats(0, 5),
    seed=st.integers(0, 2**32),
)
def test_log_normal_sizes_sum_to_the_total_exactly(total, phones, sigma, seed):
    phones = min(phones, total)
    sizes = partitions.log_normal_sizes(total, phones=phones, sigma=sigma, rng=rng(seed))
    assert sizes.sum() == total
    assert sizes.min() >= 1


def test_the_dirichlet_partition_has_the_sizes_that_were_drawn():
    sizes = partitions.log_normal_sizes(len(LABELS), phones=50, sigma=1.0, rng=rng())
    parts = partitions.unbalanced_dirichlet(LABELS, phones=50, alpha=0.3, sigma=1.0, rng=rng())
    assert [len(part) for part in parts] == sizes.tolist()


def test_a_small_alpha_gives_few_labels_and_a_large_one_all():
    def median_labels(alpha):
        parts = partitions.unbalanced_dirichlet(
            LABELS, phones=20, alpha=alpha, sigma=0.0, rng=rng()
        )
        return np.median([len(np.unique(LABELS[part])) for part in parts])

    assert median_labels(0.05) < 5
    assert median_labels(1000.0) == 10


def test_sigma_spreads_the_sizes_like_a_log_normal():
    sizes = partitions.log_normal_sizes(10**7, phones=2000, sigma=1.0, rng=rng())
    assert np.log(sizes).std() == pytest.approx(1.0, abs=0.05)


def test_a_zero_sigma_shares_out_evenly():
    sizes = partitions.log_normal_sizes(1003, phones=10, sigma=0.0, rng=rng())
    assert set(sizes.tolist()) == {100, 101}


@settings(deadline=None, max_examples=30)
@given(total=st.integers(1, 500), phones=st.integers(1, 100))
def test_an_iid_partition_deals_everything_evenly(total, phones):
    phones = min(phones, total)
    parts = partitions.iid(np.zeros(total, np.int32), phones=phones, rng=rng())
    assert sorted(np.concatenate(parts)) == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_pathological_phone_knows_two_labels_at_most():
    labels = np.repeat(np.arange(10, dtype=np.int32), 600)
    parts = partitions.pathological(labels, phones=100, rng=rng())
    assert sorted(np.concatenate(parts)) == list(range(6000))
    assert {len(part) for part in parts} == {60}
    assert max(len(np.unique(labels[part])) for part in parts) == 2


def test_the_same_stream_gives_the_same_partition():
    first, second = (
        partitions.unbalanced_dirichlet(LABELS, phones=30, alpha=1.0, sigma=1.0, rng=rng())
        for _ in range(2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "share",
    [
        lambda: partitions.iid(LABELS[:3], phones=4, rng=rng()),
        lambda: partitions.pathological(LABELS[:3], phones=2, rng=rng()),
        lambda: partitions.unbalanced_dirichlet(
            LABELS[:3], phones=4, alpha=1.0, sigma=1.0, rng=rng()
        ),
    ],
)
def test_more_phones_than_examples_is_refused(share):
    with pytest.raises(ConfigError, match="there are 3"):
        share()


@pytest.mark.parametrize(("alpha", "sigma", "named"), [(0.0, 1.0, "alpha"), (1.0, -1.0, "sigma")])
def test_a_shape_that_is_no_distribution_is_refused(alpha, sigma, named):
    with pytest.raises(ConfigError, match=named):
        partitions.unbalanced_dirichlet(LABELS, phones=3, alpha=alpha, sigma=sigma, rng=rng())


@settings(deadline=None, max_examples=60)
@given(
    total=st.integers(1, 10_000),
    phones=st.integers(1, 200),
    a=st.floats(1.01, 5),
    seed=st.integers(0, 2**32),
)
def test_zipf_sizes_sum_to_the_total_exactly(total, phones, a, seed):
    phones = min(phones, total)
    sizes = partitions.zipf_sizes(total, phones=phones, a=a, rng=rng(seed))
    assert sizes.sum() == total
    assert sizes.min() >= 1


def test_zipf_leaves_most_phones_less_than_a_batch():
    sizes = partitions.zipf_sizes(60_000, phones=6_000, a=1.95, rng=rng())
    assert np.mean(sizes < 10) > 0.8
    assert sizes.max() > 100 * np.median(sizes)


def test_of_sizes_deals_as_many_as_were_asked():
    sizes = np.array([3, 1, 6])
    parts = partitions.of_sizes(sizes, rng=rng())
    assert [len(part) for part in parts] == [3, 1, 6]
    assert sorted(np.concatenate(parts)) == list(range(10))


def test_by_owner_gives_each_owner_its_own_in_order():
    parts = partitions.by_owner(np.array([1, 0, 1, 2, 1]))
    assert [part.tolist() for part in parts] == [[1], [0, 2, 4], [3]]

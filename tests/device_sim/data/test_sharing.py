"""The choices of who owns what, from a data set to a phone's examples."""

import pickle

import numpy as np
import pytest
from pocketfed.device_sim.data.dataset import Dataset
from pocketfed.device_sim.data.examples import Examples
from pocketfed.device_sim.data.sharing import (
    PHONES,
    Dirichlet,
    Iid,
    LogNormal,
    Natural,
    Pathological,
    Sampled,
    Zipf,
    summarise,
    usual,
)
from pocketfed.device_sim.ownership import Listed
from pocketfed.protocol.errors import ConfigError

CHOICES = [Iid(), Pathological(), Dirichlet(), LogNormal(), Zipf(), Sampled(), Sampled(alpha=0.2)]


def images(count):
    """Images that say their own number, with labels in turn."""
    x = np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 2, 2)
    return Examples(x, (np.arange(count) % 10).astype(np.int32))


def numbers(examples):
    return np.frombuffer(examples.x.tobytes(), np.uint32)


DATASET = Dataset("numbers", "made", train=images(2000), test=images(10))
SEQUENCES = Dataset(
    "sequences", "made", train=Examples(*np.zeros((2, 50, 8), np.int32)), test=images(10)
)


@pytest.mark.parametrize("choice", CHOICES, ids=repr)
def test_a_phone_owns_the_same_whenever_and_wherever_it_is_asked(choice):
    owned = choice.share(DATASET, phones=30, seed=1)
    again = pickle.loads(pickle.dumps(choice.share(DATASET, phones=30, seed=1)))
    other = choice.share(DATASET, phones=30, seed=2)
    assert owned.phones == again.phones == 30
    for device in (29, 0, 7):
        assert np.array_equal(numbers(owned.of(device)), numbers(again.of(device)))
        assert owned.num_examples(device) == len(owned.of(device)) >= 1
    assert any(
        not np.array_equal(numbers(owned.of(device)), numbers(other.of(device)))
        for device in range(30)
    )


@pytest.mark.parametrize("choice", CHOICES[:5], ids=repr)
def test_what_is_dealt_has_one_owner(choice):
    owned = choice.share(DATASET, phones=None, seed=1)
    assert owned.phones == PHONES
    everything = np.concatenate([numbers(owned.of(device)) for device in range(PHONES)])
    assert sorted(everything) == list(range(2000))


def test_a_fleet_that_draws_may_outnumber_the_examples():
    owned = Sampled(examples=20, sigma=0.5).share(DATASET, phones=1_000_000, seed=0)
    sizes = [owned.num_examples(device) for device in range(0, 1_000_000, 500)]
    assert np.mean(sizes) == pytest.approx(20, rel=0.05)
    assert np.log(sizes).std() == pytest.approx(0.5, rel=0.1)
    assert len(np.unique(owned.of(999_999).y)) > 4


def test_a_phone_that_draws_takes_every_example_with_the_same_chance():
    owned = Sampled(examples=100_000, sigma=0.0).share(DATASET, phones=1, seed=0)
    counts = np.bincount(numbers(owned.of(0)), minlength=2000)
    assert (counts.mean(), counts.std()) == (pytest.approx(50), pytest.approx(50**0.5, rel=0.1))


def test_a_small_alpha_draws_few_labels():
    few, many = (
        summarise(Sampled(alpha=alpha).share(DATASET, phones=50, seed=0)).median_labels
        for alpha in (0.05, 1000.0)
    )
    assert few is not None
    assert many == 10
    assert few < 5


def test_sequences_cannot_be_shared_by_label():
    for choice in (Pathological(), Dirichlet(), Sampled(alpha=1.0)):
        with pytest.raises(ConfigError, match="choose natural, iid or log_normal"):
            choice.share(SEQUENCES, phones=5, seed=0)
    assert LogNormal().share(SEQUENCES, phones=5, seed=0).of(0).x.shape[1:] == (8,)


def test_a_data_set_without_owners_is_not_shared_naturally():
    assert usual(DATASET) == Dirichlet()
    with pytest.raises(ConfigError, match="numbers knows no owners"):
        Natural().share(DATASET, phones=5, seed=0)


def test_more_phones_than_examples_are_told_to_draw():
    with pytest.raises(ConfigError, match="--partition=sampled"):
        Iid().share(DATASET, phones=2001, seed=0)


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        (Sampled(examples=0), "examples"),
        (Sampled(sigma=-1.0), "sigma"),
        (Sampled(alpha=0.0), "alpha"),
        (Zipf(a=1.0), "a "),
        (LogNormal(sigma=-1.0), "sigma"),
        (Pathological(shards_each=0), "shards_each"),
    ],
    ids=repr,
)
def test_numbers_that_describe_no_sharing_are_refused(choice, named):
    with pytest.raises(ConfigError, match=named):
        choice.share(DATASET, phones=5, seed=0)


def test_the_summary_tells_sizes_and_labels():
    owned = Listed([images(2), images(5), images(30)])
    assert str(summarise(owned)) == "3 phones: 2 to 30 examples, median 5, of 5 labels"
    assert str(summarise(owned, at_most=2)).startswith("3 phones (the first 2): 2 to 5 examples")
    sequences = LogNormal(sigma=0.0).share(SEQUENCES, phones=5, seed=0)
    assert str(summarise(sequences)) == "5 phones: 10 to 10 examples, median 10"

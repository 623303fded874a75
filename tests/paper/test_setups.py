"""What the page says of the plays is what the plays hold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pocketfed.paper.setups import SHAKESPEARE_BY_ROLE, SHAKESPEARE_SMALL, Setup

pytestmark = pytest.mark.slow
METHOD = (Path(__file__).parents[2] / "docs" / "paper.md").read_text("utf-8").split("## Results")[0]


def said(pattern: str) -> list[float]:
    """The numbers of a sentence of the method."""
    found = re.search(re.sub(r"\s+", r"\\s+", pattern), METHOD)
    assert found, pattern
    return [float(number.replace(",", "")) for number in found.groups()]


@pytest.mark.parametrize("setup", [SHAKESPEARE_BY_ROLE, SHAKESPEARE_SMALL], ids=lambda s: s.name)
def test_a_client_has_as_many_examples_as_its_setup_says(setup: Setup) -> None:
    dataset = setup.fetch(data_dir=None)
    for partition in setup.partitions.values():
        owned = partition.share(dataset, phones=setup.clients, seed=0)
        sizes = [len(owned.of(client)) for client in range(setup.clients)]
        assert min(sizes) > 0
        assert np.mean(sizes) == pytest.approx(setup.examples)
    with_all = setup.non_iid.share(dataset, phones=None, seed=0)
    assert with_all.phones == setup.clients


def test_the_page_counts_roles_and_sequences() -> None:
    dataset = SHAKESPEARE_BY_ROLE.fetch(data_dir=None)
    roles, of_the_paper = said(r"is a client, ([\d,]+) of them here and ([\d,]+) in the paper")
    assert (roles, of_the_paper) == (SHAKESPEARE_BY_ROLE.clients, 1146)
    (mean,) = said(r"here it has (\d+) sequences on average")
    assert mean == round(len(dataset.train) / roles)


def test_the_page_counts_the_small_plays() -> None:
    setup = SHAKESPEARE_SMALL
    dataset = setup.fetch(data_dir=None)
    owned = setup.non_iid.share(dataset, phones=setup.clients, seed=0)
    train, longest, test = said(
        r"([\d,]+) sequences to train on, (\d+) of the longest role, and (\d+) to test with"
    )
    assert (train, test) == (len(dataset.train), len(dataset.test))
    assert longest == max(len(owned.of(client)) for client in range(setup.clients))
    commonest = np.bincount(dataset.train.y.ravel()).argmax()
    (share,) = said(r"is right in ([\d.]+) % of the places")
    assert share == pytest.approx(100 * np.mean(dataset.test.y == commonest), abs=0.05)

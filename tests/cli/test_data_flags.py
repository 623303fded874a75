"""--dataset, --partition and --phones, as a user writes them."""

from typing import get_args

import pytest
from pocketfed.cli.flags import data as data_flags
from pocketfed.cli.flags import groups
from pocketfed.cli.flags.holding import holder
from pocketfed.device_sim.data.sharing import Dirichlet, Natural, Partition, Sampled, Zipf
from pocketfed.protocol.errors import ConfigError


def partition_of(*words):
    values = holder([data_flags.owners])
    values(["pocketfed", *words])
    return data_flags.partition_of(values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dirichlet:alpha=0.1,sigma=0", Dirichlet(alpha=0.1, sigma=0.0)),
        ("zipf", Zipf()),
        ("natural", Natural()),
        ("sampled:examples=20", Sampled(examples=20)),
    ],
)
def test_a_partition_is_a_kind_with_its_numbers(text, expected) -> None:
    assert partition_of(f"--partition={text}") == expected


def test_nobody_need_choose_a_partition() -> None:
    assert partition_of() is None


@pytest.mark.parametrize("text", ["even", "zipf:b", "zipf:a=long", "pathological:shards_each=1.5"])
def test_what_is_no_partition_is_refused(text) -> None:
    with pytest.raises(ConfigError, match="partition"):
        partition_of(f"--partition={text}")


def test_what_the_help_says_of_a_partition_is_its_default() -> None:
    texts = data_flags.usages().split("; ")
    assert "dirichlet:alpha=1.0,sigma=1.0" in texts
    assert "sampled:examples=100,sigma=1.0,alpha=null" in texts
    assert [partition_of(f"--partition={text}") for text in texts] == [
        kind() for kind in get_args(Partition)
    ]


def test_checkpoints_may_be_measured_on_a_part_of_the_test_examples() -> None:
    values = holder([data_flags.owners, groups.data])
    values(["pocketfed", "--dataset=handwriting", "--test_examples=30"])
    assert len(data_flags.dataset_of(values).test) == 30

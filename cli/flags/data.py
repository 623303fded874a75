"""The flags that say what the phones of a fleet learn from, and who owns what."""

from __future__ import annotations

from typing import get_args

import msgspec
from absl import flags

from ...device_sim.data.dataset import Dataset
from ...device_sim.data.datasets import DATASETS, fetch
from ...device_sim.data.sharing import PHONES, Partition
from ...protocol.errors import ConfigError
from . import choices
from .groups import Values
from .parsing import optional_path


def owners(values: Values) -> None:
    known = "; ".join(f"{recipe.name}: {recipe.summary}" for recipe in DATASETS.values())
    flags.DEFINE_enum(
        "dataset",
        "mnist",
        list(DATASETS),
        f"what the phones learn from. {known}",
        flag_values=values,
    )
    flags.DEFINE_string(
        "partition",
        None,
        f"who owns what, KIND:NAME=VALUE,NAME=VALUE: {usages()}; if not given, natural where the "
        "data set knows its owners, else dirichlet",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "phones",
        None,
        f"phones in the fleet; if not given, {PHONES}, or one for each natural owner",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "test_examples",
        None,
        "measure checkpoints on so many of the test examples; on all of them if not given",
        lower_bound=1,
        flag_values=values,
    )


def usages() -> str:
    """Every kind of partition with its numbers and their defaults, as one may write them."""
    return "; ".join(_usage(kind) for kind in get_args(Partition))


def dataset_of(values: Values) -> Dataset:
    """The data set by the flags; raises DataError."""
    dataset = fetch(values.dataset, data_dir=optional_path(values.data_dir))
    return dataset.tested_on(values.test_examples or len(dataset.test))


def partition_of(values: Values) -> Partition | None:
    """Who owns what by the flags, None when nobody said; raises ConfigError."""
    text: str | None = values.partition
    if text is None:
        return None
    fields = choices.choice_of("partition", text)
    try:
        partition: Partition = msgspec.convert(fields, Partition)
    except msgspec.ValidationError as error:
        reason = f"{error}; choose one of {usages()}"
        raise ConfigError("partition", text, reason) from error
    return partition


def _usage(kind: type[msgspec.Struct]) -> str:
    numbers = [
        f"{field.name}={msgspec.json.encode(field.default).decode()}"
        for field in msgspec.structs.fields(kind)
    ]
    return ":".join([str(kind.__struct_config__.tag), ",".join(numbers)]).removesuffix(":")

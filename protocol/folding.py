"""How the updates of a round become the next checkpoint: an aggregator, then a server optimizer.

Records that are told apart by ``kind``; a number that is left out has the default shown here. What
each computes, exactly, is in docs/protocol.md.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from .record import Record

Rate = Annotated[float, msgspec.Meta(gt=0.0)]
Decay = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]


def _kind(name: str) -> str:
    """TrimmedMean is of the kind trimmed_mean."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()


class _Choice(
    Record, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=_kind
):
    """One of several kinds."""


class _Aggregator(_Choice, frozen=True, kw_only=True):
    """``clip_norm``: the L2 norm to which longer deltas are cut; None leaves all as they are."""

    clip_norm: Rate | None = None


class WeightedMean(_Aggregator, frozen=True, kw_only=True):
    """The mean of the deltas, each weighted by its number of examples: federated averaging."""


class Mean(_Aggregator, frozen=True, kw_only=True):
    """The mean of the deltas, each weighted the same."""


class TrimmedMean(_Aggregator, frozen=True, kw_only=True):
    """Per element, the mean of what is left without the ``fraction`` at each end; unweighted."""

    fraction: Annotated[float, msgspec.Meta(ge=0.0, lt=0.5)] = 0.1


class Median(_Aggregator, frozen=True, kw_only=True):
    """The median per element; unweighted."""


class Sgd(_Choice, frozen=True, kw_only=True):
    """Adds the update times the learning rate; 1.0 without momentum is federated averaging."""

    learning_rate: Rate = 1.0
    momentum: Decay = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov needs a momentum above 0")


class Adagrad(_Choice, frozen=True, kw_only=True):
    """FedAdagrad; ``tau`` is the degree of adaptivity."""

    learning_rate: Rate = 0.1
    beta_1: Decay = 0.0
    tau: Rate = 1e-3


class Adam(_Choice, frozen=True, kw_only=True):
    """FedAdam."""

    learning_rate: Rate = 0.01
    beta_1: Decay = 0.9
    beta_2: Decay = 0.99
    tau: Rate = 1e-3


class Yogi(_Choice, frozen=True, kw_only=True):
    """FedYogi."""

    learning_rate: Rate = 0.01
    beta_1: Decay = 0.9
    beta_2: Decay = 0.99
    tau: Rate = 1e-3


Aggregator = WeightedMean | Mean | TrimmedMean | Median
ServerOptimizer = Sgd | Adagrad | Adam | Yogi

"""What a device does with an assignment, and how the server runs the rounds of a task."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

import msgspec
import numpy as np

from .codecs import FLOAT32, codec_named
from .folding import Aggregator, Mean, Rate, ServerOptimizer, Sgd, WeightedMean
from .record import Count, Positive, Record, Seconds

Fraction = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
Codecs = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=16)]


class RetryWindow(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Come back between ``min_s`` and ``max_s`` seconds from now."""

    min_s: Seconds
    max_s: Seconds

    def __post_init__(self) -> None:
        if self.max_s < self.min_s:
            raise ValueError(f"max_s {self.max_s} lies before min_s {self.min_s}")

    def draw(self, rng: np.random.Generator) -> float:
        """One uniform instant of the window, in seconds; drawn once, when the window arrives."""
        return float(rng.uniform(self.min_s, self.max_s))


class Eligibility(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions a device checks on itself before it trains."""

    charging: bool = True
    idle: bool = True
    unmetered: bool = True
    min_examples: Positive = 1


class Plan(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Local training: ``epochs`` passes of SGD in batches of ``batch_size`` (E and B of the paper).

    A device that meets a field it does not know must not train, hence unknown fields are refused.
    ``max_examples`` caps how many of its examples a device uses in one pass.
    """

    epochs: Positive = 1
    batch_size: Positive = 10
    learning_rate: Rate = 0.1
    max_examples: Positive = 10_000
    eligibility: Eligibility = Eligibility()


class RoundKind(StrEnum):
    """What the devices of a round do with its checkpoint."""

    TRAIN = "train"
    EVALUATE = "evaluate"


class EvaluationSettings(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How devices measure the checkpoints of a task.

    Every version that ``every`` divides is measured, in a round of its own beside training. What
    is None is as in training.
    """

    every: Positive = 1
    goal: Positive | None = None
    minimum_fraction: Fraction | None = None
    selection_timeout_s: Rate | None = None
    report_timeout_s: Rate | None = None
    compute_timeout_s: Rate | None = None

    def due(self, newest: int) -> int:
        """The newest version that is to be measured; 0 when there is none yet."""
        return newest - newest % self.every


class Buffering(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a task takes updates that were trained from older versions than its newest one.

    Buffered asynchronous aggregation after Nguyen et al. 2022 (FedBuff, arXiv 2106.06639).
    ``concurrency`` devices may hold a place at the same time. An update that is tau versions behind
    the one it is folded onto counts ``(1 + tau) ** -staleness_exponent``; beyond ``max_staleness``
    it is too late.
    """

    concurrency: Positive = 100
    max_staleness: Count = 20
    staleness_exponent: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.5


class RoundSettings(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the server selects, waits, folds and gives up.

    ``goal`` reports end a round; ``ceil(goal * over_selection)`` devices are assigned; at the
    deadline ``ceil(goal * minimum_fraction)`` reports still suffice. The two time-outs bound the
    round's selection and its reporting; the compute and upload time-outs bound one device.
    ``retry`` is when turned-away devices come back, or None to have the server pace them by how
    many there are. ``max_update_norm`` is the longest update, in L2, that may become a checkpoint,
    or None for any. ``rounds`` is how many rounds the task commits before it stops, or None for no
    end. ``codecs`` are the encodings in which it takes deltas, the one it likes best first.
    ``evaluation`` is None for a task whose checkpoints no device measures. With a ``buffer`` every
    ``goal`` updates become a version, whichever version each was trained from; over-selection and
    selection are then for rounds that evaluate alone.
    Raises UnknownCodec for a codec that nobody could decode.
    """

    goal: Positive = 100
    over_selection: Annotated[float, msgspec.Meta(ge=1.0, le=10.0)] = 1.3
    minimum_fraction: Fraction = 0.8
    selection_timeout_s: Rate = 600.0
    report_timeout_s: Rate = 1800.0
    compute_timeout_s: Rate = 900.0
    upload_timeout_s: Rate = 900.0
    retry: RetryWindow | None = None
    aggregator: Aggregator = WeightedMean()
    server_optimizer: ServerOptimizer = Sgd()
    max_update_norm: Rate | None = None
    rounds: Positive | None = None
    codecs: Codecs = (FLOAT32,)
    evaluation: EvaluationSettings | None = None
    buffer: Buffering | None = None

    def __post_init__(self) -> None:
        for name in self.codecs:
            codec_named(name)
        if self.buffer is not None and not isinstance(self.aggregator, WeightedMean | Mean):
            raise ValueError(
                "a buffer counts stale updates less, which only an aggregator weighted_mean or "
                "mean can do; choose one of them"
            )

    @property
    def capacity(self) -> int:
        """Devices that count in one round at the same time, at most."""
        if self.buffer is not None:
            return self.goal + self.buffer.concurrency
        return math.ceil(self.goal * self.over_selection)

    @property
    def places(self) -> int:
        """Places that devices can be given at the same time."""
        return self.capacity if self.buffer is None else self.buffer.concurrency

    @property
    def most_folded(self) -> int:
        """Updates that become one checkpoint, at most."""
        return self.capacity if self.buffer is None else self.goal

    @property
    def minimum(self) -> int:
        """Reports without which the round is abandoned."""
        return math.ceil(self.goal * self.minimum_fraction)

    def for_kind(self, kind: RoundKind) -> RoundSettings:
        """The settings by which rounds of this kind run."""
        if kind is RoundKind.TRAIN or self.evaluation is None:
            return self
        given = {name: getattr(self.evaluation, name) for name in _OF_EVALUATION}
        changes = {name: value for name, value in given.items() if value is not None}
        return msgspec.structs.replace(self, **changes, buffer=None)


_OF_EVALUATION = tuple(name for name in EvaluationSettings.__struct_fields__ if name != "every")

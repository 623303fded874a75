"""The fold: a checkpoint, its optimizer's state and a round's updates become the next ones.

One function of immutable bytes, which the coordinator calls to commit a round and the audit to
recompute it: the same arguments give the same bits, whoever folds and over however many workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ...protocol import folding, wire
from ...protocol.admin import CreateTask
from ...protocol.codecs import codec_named
from ...protocol.errors import LostBlob
from ...protocol.plan import Buffering
from ...protocol.weights import Vector, WeightSpec
from ..states.staleness import discount
from ..store import Checkpoint, Update
from . import sums
from .aggregators import Share, aggregator_of
from .norms import l2_norm
from .optimizers import State, decode_state, optimizer_of
from .workers import Workers

# The bytes that have this SHA-256; raises FileNotFoundError. Workers elsewhere get a pickled copy.
ReadBlob = Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a round starts from."""

    vector: Vector
    state: State


@dataclass(frozen=True, kw_only=True)
class Folded:
    """What a round comes to; ``update_norm`` is the L2 norm of its update."""

    vector: Vector
    state: State
    update_norm: float

    @property
    def is_finite(self) -> bool:
        """Whether all of it may become a checkpoint."""
        return all(bool(np.isfinite(one).all()) for one in (self.vector, *self.state))


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The updates of a round, how much of each counts, and how to come by their bytes."""

    spec: WeightSpec
    updates: tuple[Update, ...]
    discounts: tuple[float, ...]
    read: ReadBlob

    def deltas(self, some: range) -> Iterator[tuple[Vector, int]]:
        """(delta, num_examples) of some of the updates; raises LostBlob."""
        for update in self.updates[some.start : some.stop]:
            yield delta_of(intact(self.read, update.sha256), update, self.spec), update.num_examples


def basis_of(task: CreateTask, checkpoint: Checkpoint, *, read: ReadBlob) -> Basis:
    """Reads a checkpoint and its state, or the state before the first round; raises LostBlob."""
    spec = WeightSpec(task.spec)
    vector = wire.decode(intact(read, checkpoint.sha256), spec).vector
    optimizer = optimizer_of(task.settings.server_optimizer)
    if checkpoint.state_sha256 is None:
        return Basis(vector=vector, state=optimizer.init(spec.size))
    body = intact(read, checkpoint.state_sha256)
    return Basis(vector=vector, state=decode_state(body, optimizer, size=spec.size))


def fold(
    task: CreateTask, basis: Basis, updates: Sequence[Update], *, read: ReadBlob, workers: Workers
) -> Folded:
    """Aggregates the updates and takes the server optimizer's step; raises LostBlob."""
    cohort = Cohort(
        spec=WeightSpec(task.spec),
        updates=tuple(updates),
        discounts=discounts_of(updates, task.settings.buffer),
        read=read,
    )
    update = _aggregate(task.settings.aggregator, cohort, workers)
    optimizer = optimizer_of(task.settings.server_optimizer)
    vector, state = optimizer.step(basis.vector, update, basis.state)
    return Folded(vector=vector, state=state, update_norm=l2_norm(update))


def discounts_of(updates: Sequence[Update], buffer: Buffering | None) -> tuple[float, ...]:
    """How much of each update of a buffer counts; nothing is discounted without one."""
    if buffer is None:
        return ()
    exponent = buffer.staleness_exponent
    return tuple(discount(one.staleness, exponent=exponent) for one in updates)


def delta_of(body: bytes, update: Update, spec: WeightSpec) -> Vector:
    """What an accepted update's bytes mean."""
    return codec_named(update.codec).decode(body, spec)


def intact(read: ReadBlob, sha256: str) -> bytes:
    """The bytes of a blob; raises LostBlob when they are gone or no longer what they were."""
    try:
        body = read(sha256)
    except FileNotFoundError as error:
        raise LostBlob(f"the blob {sha256} is gone; restore it from a backup") from error
    found = wire.sha256(body)
    if found != sha256:
        raise LostBlob(f"the blob {sha256} now has SHA-256 {found}; restore it from a backup")
    return body


def _aggregate(chosen: folding.Aggregator, cohort: Cohort, workers: Workers) -> sums.Update:
    aggregator = aggregator_of(chosen)
    shares = aggregator.split(len(cohort.updates), cohort.spec.size, workers.count)
    return aggregator.join(workers.map(partial(_fold_share, chosen, cohort), shares))


def _fold_share(
    chosen: folding.Aggregator, cohort: Cohort, scratch: Path | None, share: Share
) -> object:
    aggregator = aggregator_of(chosen, scratch=scratch, discounts=cohort.discounts)
    return aggregator.fold(share, cohort.deltas(share.updates))

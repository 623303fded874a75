"""Server optimizers turn a checkpoint and a round's update into the next checkpoint.

After Reddi et al., "Adaptive Federated Optimization" (arXiv 2003.00295), Algorithm 2. All
arithmetic is in float64, element by element, with operations that IEEE 754 rounds correctly; the
weights and the state are rounded to float32 once a step. So a step gives the same bits on every
machine. An overflow shows as a non-finite element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...protocol import folding, wire
from ...protocol.weights import Vector, Weights, WeightSpec
from .sums import Update

# One vector per slot, in the order of ``ServerOptimizer.slots``.
State = tuple[Vector, ...]
# (second moment, squared update) -> second moment
_Accumulate = Callable[[Update, Update], Update]


class ServerOptimizer(NamedTuple):
    """Two pure functions and the names of what they keep between rounds.

    ``init`` gives the state before the first round, for a number of elements; ``step`` is
    (checkpoint, update, state) -> (checkpoint, state).
    """

    slots: tuple[str, ...]
    init: Callable[[int], State]
    step: Callable[[Vector, Update, State], tuple[Vector, State]]


def sgd(learning_rate: float) -> ServerOptimizer:
    """x + η Δ; a learning rate of 1 is federated averaging."""

    def step(checkpoint: Vector, update: Update, state: State) -> tuple[Vector, State]:
        return _moved(checkpoint, learning_rate * update), state

    return ServerOptimizer((), lambda size: (), step)


def momentum(learning_rate: float, *, decay: float, nesterov: bool = False) -> ServerOptimizer:
    """u <- μ u + Δ, then x + η u; Nesterov's adds η (Δ + μ u)."""

    def step(checkpoint: Vector, update: Update, state: State) -> tuple[Vector, State]:
        velocity = decay * state[0].astype(np.float64) + update
        ahead = update + decay * velocity if nesterov else velocity
        return _moved(checkpoint, learning_rate * ahead), (_rounded(velocity),)

    return ServerOptimizer(("sgd/velocity",), lambda size: (_filled(size, 0.0),), step)


def adagrad(learning_rate: float, *, beta_1: float, tau: float) -> ServerOptimizer:
    """FedAdagrad: v <- v + Δ²."""
    return _adaptive("adagrad", learning_rate, beta_1, tau, lambda v, square: v + square)


def adam(learning_rate: float, *, beta_1: float, beta_2: float, tau: float) -> ServerOptimizer:
    """FedAdam: v <- β₂ v + (1 - β₂) Δ²."""

    def accumulate(v: Update, square: Update) -> Update:
        return beta_2 * v + (1.0 - beta_2) * square

    return _adaptive("adam", learning_rate, beta_1, tau, accumulate)


def yogi(learning_rate: float, *, beta_1: float, beta_2: float, tau: float) -> ServerOptimizer:
    """FedYogi: v <- v - (1 - β₂) Δ² sign(v - Δ²)."""

    def accumulate(v: Update, square: Update) -> Update:
        # The grouping keeps v at or above zero: where v > Δ², only a share of Δ² is taken away.
        return v - (1.0 - beta_2) * (square * np.sign(v - square))

    return _adaptive("yogi", learning_rate, beta_1, tau, accumulate)


def optimizer_of(chosen: folding.ServerOptimizer) -> ServerOptimizer:
    """The server optimizer a task asks for."""
    match chosen:
        case folding.Sgd(learning_rate=rate, momentum=0.0):
            return sgd(rate)
        case folding.Sgd(learning_rate=rate, momentum=decay, nesterov=nesterov):
            return momentum(rate, decay=decay, nesterov=nesterov)
        case folding.Adagrad(learning_rate=rate, beta_1=beta_1, tau=tau):
            return adagrad(rate, beta_1=beta_1, tau=tau)
        case folding.Adam(learning_rate=rate, beta_1=beta_1, beta_2=beta_2, tau=tau):
            return adam(rate, beta_1=beta_1, beta_2=beta_2, tau=tau)
        case folding.Yogi(learning_rate=rate, beta_1=beta_1, beta_2=beta_2, tau=tau):
            return yogi(rate, beta_1=beta_1, beta_2=beta_2, tau=tau)


def encode_state(state: State, optimizer: ServerOptimizer) -> bytes:
    """A state in the container of docs/protocol.md, each slot a tensor under its name."""
    spec = _spec(optimizer, state[0].size)
    return wire.encode(Weights.pack(spec, dict(zip(optimizer.slots, state, strict=True))))


def decode_state(body: bytes, optimizer: ServerOptimizer, *, size: int) -> State:
    """Reads what ``encode_state`` wrote; raises SpecMismatch for another optimizer's state."""
    weights = wire.decode(body, _spec(optimizer, size))
    return tuple(weights[slot] for slot in optimizer.slots)


def _adaptive(
    name: str, learning_rate: float, beta_1: float, tau: float, accumulate: _Accumulate
) -> ServerOptimizer:
    """m <- β₁ m + (1 - β₁) Δ, then v, then x + η m / (√v + τ); v begins at τ²."""

    def init(size: int) -> State:
        return _filled(size, 0.0), _filled(size, tau * tau)

    def step(checkpoint: Vector, update: Update, state: State) -> tuple[Vector, State]:
        m, v = (slot.astype(np.float64) for slot in state)
        with np.errstate(over="ignore", invalid="ignore"):
            m = beta_1 * m + (1.0 - beta_1) * update
            v = accumulate(v, np.square(update))
            return _moved(checkpoint, learning_rate * m / (np.sqrt(v) + tau)), (
                _rounded(m),
                _rounded(v),
            )

    return ServerOptimizer((f"{name}/first_moment", f"{name}/second_moment"), init, step)


def _moved(checkpoint: Vector, by: Update) -> Vector:
    with np.errstate(over="ignore", invalid="ignore"):
        return (checkpoint + by).astype(np.float32)


def _rounded(slot: Update) -> Vector:
    with np.errstate(over="ignore"):
        return slot.astype(np.float32)


def _filled(size: int, value: float) -> Vector:
    return np.full(size, value, np.float32)


def _spec(optimizer: ServerOptimizer, size: int) -> WeightSpec:
    return WeightSpec.of(dict.fromkeys(optimizer.slots, (size,)))

"""How one phone encodes its deltas, and what it still owes where its codec leaves elements out."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.codecs import codec_named
from ..protocol.messages import Assignment
from ..protocol.weights import Vector, Weights
from .conditions import rounding_stream


@dataclass(frozen=True)
class Debt:
    """What a task's deltas lacked when they were sent."""

    task: str
    left_out: Vector


class Encoder:
    """Encodes as each assignment asks, rounding with a stream of the phone's own.

    What top-k leaves out is added to the next delta of the same task, once the server has accepted
    what was sent (error feedback: Stich et al. 2018, Algorithm 1).
    """

    def __init__(self, *, seed: int, device: int) -> None:
        self._seed = seed
        self._device = device
        self._owed: Debt | None = None
        self._sent: tuple[str, Debt] | None = None

    def encode(self, assignment: Assignment, delta: Weights) -> bytes:
        """The body to send; raises UnknownCodec, or NonFiniteDelta."""
        codec = codec_named(assignment.codec)
        rng = rounding_stream(seed=self._seed, device=self._device, round_=assignment.round)
        if not codec.leaves_out:
            return codec.encode(delta, rng)
        due = self._with_debt(assignment.task, delta)
        body = codec.encode(due, rng)
        left_out = due.vector - codec.decode(body, due.spec)
        self._sent = assignment.assignment_id, Debt(assignment.task, left_out)
        return body

    def accepted(self, assignment: Assignment) -> None:
        """The server has taken the body of this assignment, so the older debt is paid."""
        if self._sent is not None and self._sent[0] == assignment.assignment_id:
            self._owed = self._sent[1]

    def _with_debt(self, task: str, delta: Weights) -> Weights:
        if self._owed is None or self._owed.task != task:
            return delta
        return Weights(delta.spec, delta.vector + self._owed.left_out)

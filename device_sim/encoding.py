"""How one phone encodes its deltas, and what it still owes where its codec leaves elements out.

What top-k leaves out is added to the next delta of the same task, once the server has accepted what
was sent (error feedback: Stich et al. 2018, Algorithm 1).
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..protocol.codecs import Codec
from ..protocol.weights import Vector, Weights


def encode(
    delta: Weights, *, codec: Codec, owed: Vector | None, rng: np.random.Generator
) -> tuple[bytes, Vector | None]:
    """The body to send, and what it lacks of ``delta`` and ``owed``; None where nothing can lack.

    Raises NonFiniteDelta.
    """
    if not codec.leaves_out:
        return codec.encode(delta, rng), None
    due = delta if owed is None else Weights(delta.spec, delta.vector + owed)
    body = codec.encode(due, rng)
    return body, due.vector - codec.decode(body, due.spec)


@dataclass(frozen=True)
class Debt:
    """Whose deltas of which task lacked what the file holds."""

    task: str
    file: Path


class Debts:
    """What the phones of a fleet owe: a file each, so that memory does not grow with them.

    A phone owes to one task at a time, the one that accepted a delta of it last.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._of: dict[int, Debt] = {}

    def owed(self, *, device: int, task: str) -> Vector | None:
        """What to add to the next delta of a task; None when nothing is owed."""
        debt = self._of.get(device)
        if debt is None or debt.task != task:
            return None
        vector: Vector = np.load(debt.file)
        return vector

    def accepted(self, left_out: Vector, *, device: int, task: str) -> None:
        """The server has taken a body that lacked this, so the older debt is paid."""
        file = self._place() / f"{device}.npy"
        np.save(file, left_out)
        self._of[device] = Debt(task, file)

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="pocketfed-owed-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

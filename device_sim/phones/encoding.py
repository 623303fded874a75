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

from ...protocol.codecs import Codec
from ...protocol.weights import Vector, Weights


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
    """A phone's deltas of a task lack what the file holds, the ``number``-th such file of it."""

    task: str
    number: int
    file: str


class Debts:
    """What the phones of a fleet owe: a file each, so that memory does not grow with them.

    A phone owes to one task at a time, the one that accepted a delta of it last. The files lie in
    ``folder``, or else in a temporary one. Where a run may be taken up again, what has been paid
    stays until ``forget_paid``: files never change.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._is_lasting = folder is not None
        self.open: dict[int, Debt] = {}
        self._paid: list[Path] = []

    def owed(self, *, device: int, task: str) -> Vector | None:
        """What to add to the next delta of a task; None when nothing is owed."""
        debt = self.open.get(device)
        if debt is None or debt.task != task:
            return None
        vector: Vector = np.load(self._place() / debt.file)
        return vector

    def accepted(self, left_out: Vector, *, device: int, task: str) -> None:
        """The server has taken a body that lacked this, so the older debt is paid."""
        paid = self.open.get(device)
        number = 1 if paid is None else paid.number + 1
        debt = Debt(task, number, f"{device}-{number}.npy")
        np.save(self._place() / debt.file, left_out)
        self.open[device] = debt
        if paid is not None:
            self._paid.append(self._place() / paid.file)
        if not self._is_lasting:
            self.forget_paid()

    def forget_paid(self) -> None:
        """Removes the files that nobody needs who takes the run up from now on."""
        for file in self._paid:
            file.unlink(missing_ok=True)
        self._paid.clear()

    def _place(self) -> Path:
        if self._is_lasting and self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        elif self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="pocketfed-owed-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

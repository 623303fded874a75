"""``pocketfed`` that kills its own process, with SIGKILL, at a named point.

::

    python crashing.py POINT HIT CLOCK -- serve --port=0 …

runs the command until POINT is reached for the HIT-th time; then it writes ``died at POINT`` to its
standard output and is gone, without a finally or an exit handler. At ``nowhere`` it lives. CLOCK is
a file that holds the time: whoever changes it moves the clock of this server.

The product has no hook for this. Its functions are wrapped here before the command line gets
control; the use case that a transaction belongs to is the function that opened it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

NOWHERE = "nowhere"
# The function that opens a transaction -> what it is for.
TRANSACTIONS = {
    "_seals": "signing key",
    "Sweeper.sweep": "sweep",
    "Tasks.put": "deposit",
    "Tasks.create": "task",
    "Devices.enrol": "enrolment",
    "Admission.check_in": "check-in",
    "Delivery.report": "report",
    "Delivery._accept": "upload",
    "Coordinator._claim": "claim",
    "Coordinator._commit": "checkpoint",
    "Coordinator._abandon": "abandonment",
    "Coordinator._pass_deadlines": "deadlines",
    "Sweeper.release": "release",
}
# The function that publishes or removes bytes -> what they are.
BYTES = {
    "Tasks.put": "deposit",
    "Delivery._count": "update",
    "Coordinator._commit": "checkpoint",
    "Sweeper.release": "released update",
    "Sweeper._remove_orphan": "orphan",
}
POINTS = frozenset(
    {f"{purpose}: {when}" for purpose in TRANSACTIONS.values() for when in ("before", "committed")}
    | {f"{what}: {step}" for what in list(BYTES.values())[:3] for step in ("unnamed", "named")}
    | {f"{what}: removing" for what in list(BYTES.values())[3:]}
    | {"tables: half", "body: half", "body: whole", "fold: half", "state: half"}
)


class Death:
    """Waits at one point, for its turn."""

    def __init__(self, point: str, hit: int) -> None:
        self._point = point
        self._hit = hit
        self._counted = count(1)
        self._turn = threading.Lock()

    def at(self, point: str) -> None:
        """The process ends here if this is the point and the hit it waits for."""
        if point != self._point:
            return
        with self._turn:
            if next(self._counted) == self._hit:
                os.write(1, f"died at {point}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    point, hit, clock, separator, *words = sys.argv[1:]
    if separator != "--" or point not in POINTS | {NOWHERE}:
        sys.exit("usage: crashing.py POINT HIT CLOCK -- COMMAND …, with one of: " + str(POINTS))
    death = Death(point, int(hit))
    for arm in (_transactions, _names, _removals, _tables, _bodies, _folds):
        arm(death)
    _set_clock(Path(clock))
    from pocketfed import cli

    return int(cli.main(["pocketfed", *words]))


def _set_clock(file: Path) -> None:
    def now() -> float:
        return float(file.read_text())

    for name in ("serve", "coordinate"):
        module = import_module(f"pocketfed.server.running.{name}")
        setattr(module, name, partial(getattr(module, name), clock=now))


def _transactions(death: Death) -> None:
    from pocketfed.server.store import Store, Writing

    begin = Store.write

    @contextmanager
    def write(store: Store) -> Iterator[Writing]:
        purpose = TRANSACTIONS.get(_caller(2), "")  # between them is contextlib
        with begin(store) as tx:
            yield tx
            death.at(f"{purpose}: before")
        death.at(f"{purpose}: committed")

    Store.write = write  # type: ignore[method-assign]


def _names(death: Death) -> None:
    from pocketfed.server.blobs import FolderBlobs, Staged

    name = FolderBlobs.publish

    def publish(blobs: FolderBlobs, staged: Staged) -> None:
        what = BYTES.get(_caller(1), "")
        death.at(f"{what}: unnamed")
        name(blobs, staged)
        death.at(f"{what}: named")

    FolderBlobs.publish = publish  # type: ignore[method-assign]


def _removals(death: Death) -> None:
    """Between the rows of a transaction and the files that they let go."""
    from pocketfed.server.blobs import FolderBlobs

    unlink = FolderBlobs.remove

    def remove(blobs: FolderBlobs, *names: str) -> None:
        if names:
            death.at(f"{BYTES.get(_caller(1), '')}: removing")
        unlink(blobs, *names)

    FolderBlobs.remove = remove  # type: ignore[method-assign]


def _tables(death: Death) -> None:
    """After a revision has changed the tables, before it is on record."""
    from alembic.runtime.migration import HeadMaintainer

    _before(death, HeadMaintainer, "update_to_step", "tables: half")


def _bodies(death: Death) -> None:
    from pocketfed.server.blobs import arrivals
    from pocketfed.server.coordination import coordinator
    from pocketfed.server.taking_part import delivery

    _before(death, delivery.Delivery, "_accept", "body: whole")
    encode, write = coordinator.encode_state, arrivals.write_all
    states: set[bytes] = set()

    def encode_state(*arguments: Any) -> bytes:
        states.add(body := encode(*arguments))
        return body

    def write_all(handle: int, chunk: bytes) -> None:
        middle = len(chunk) // 2
        write(handle, chunk[:middle])
        death.at("state: half" if bytes(chunk) in states else _half_of_a_body())
        write(handle, chunk[middle:])

    coordinator.encode_state = encode_state
    arrivals.write_all = write_all


def _half_of_a_body() -> str:
    return "body: half" if _is_within("Delivery.upload") else ""


def _folds(death: Death) -> None:
    """Some deltas are in the sum and others are not."""
    from pocketfed.server.folding import fold

    _before(death, fold, "delta_of", "fold: half")


def _before(death: Death, owner: Any, name: str, point: str) -> None:
    function: Callable[..., Any] = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        death.at(point)
        return function(*arguments, **named)

    setattr(owner, name, wrapped)


def _caller(depth: int) -> str:
    """The qualified name of a function so far above whoever asks."""
    return sys._getframe(depth + 1).f_code.co_qualname


def _is_within(function: str) -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_qualname != function:
        frame = frame.f_back
    return frame is not None


if __name__ == "__main__":
    sys.exit(main())

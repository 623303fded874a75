"""Freezing: the state of a virtual fleet between two steps, as bytes.

Phones in a session are frozen whole, with what they do next. What belongs to the process, such as
the client's session and the workers, is left out by name and put back from the process that thaws.
The bytes are pickles: for the version that wrote them, from nobody but oneself.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from ..protocol.errors import PocketFedError, WorkerLost


def freeze(state: object, *, left_out: Mapping[str, object]) -> bytes:
    """Pickles a state; a job that is under way is waited for, so that its outcome is kept.

    Raises WorkerLost when an outcome will never come.
    """
    into = io.BytesIO()
    _Freezer(into, left_out).dump(state)
    return into.getvalue()


def thaw(frozen: bytes, *, put_back: Mapping[str, object]) -> Any:
    """The state as it was; ``put_back`` has what was left out, by the same names."""
    return _Thawer(io.BytesIO(frozen), put_back).load()


class _Freezer(pickle.Pickler):
    def __init__(self, into: io.BytesIO, left_out: Mapping[str, object]) -> None:
        super().__init__(into, protocol=pickle.HIGHEST_PROTOCOL)
        self._names = {id(value): name for name, value in left_out.items()}

    def persistent_id(self, obj: Any) -> str | None:
        return self._names.get(id(obj))

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, Future):
            return NotImplemented
        try:
            return _finished, (obj.result(), None)
        except WorkerLost:
            raise
        except PocketFedError as error:
            return _finished, (None, error)


class _Thawer(pickle.Unpickler):
    def __init__(self, source: io.BytesIO, put_back: Mapping[str, object]) -> None:
        super().__init__(source)
        self._values = put_back

    def persistent_load(self, pid: str) -> object:
        return self._values[pid]


def _finished(result: object, error: PocketFedError | None) -> Future[Any]:
    done: Future[Any] = Future()
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
    return done

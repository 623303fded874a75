"""Waiting for a disk where nobody else waits along.

A thread that waits for the disk holds up only itself. A greenlet holds up its whole process, so it
sends a thread of gevent's pool instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

_R = TypeVar("_R")


def aside(act: Callable[..., _R], *arguments: object) -> _R:
    """Returns what ``act`` returns, and raises what it raises."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return act(*arguments)
    import gevent  # type: ignore[import-untyped]  # there, for it has patched this process

    return cast(_R, gevent.get_hub().threadpool.apply(act, arguments))

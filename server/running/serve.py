"""One process: waitress answers requests, and a thread moves the rounds on; or many workers."""

from __future__ import annotations

import logging as python_logging
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from ..app import EXTENSION, Server, create_app
from ..config import Config
from ..coordination.coordinator import Coordinator
from ..coordination.ticking import ticking
from ..watch import log_to
from .listening import listening, url_of

GRACE_S = 10
RECEIVE_BYTES = 256 * 1024
_POLL_S = 1.0


def serve(
    config: Config,
    *,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> None:
    """Runs a server until SIGTERM or SIGINT; call it from the main thread.

    The address it is bound to is printed as one line and kept in ``server.json`` while it runs.
    """
    log_to(sys.stderr, log_format=config.log_format, log_level=config.log_level)
    if config.workers:
        from .processes import serve_workers  # gunicorn is there for the scaled profile only

        serve_workers(config)
        return
    app = create_app(config, clock=clock, entropy=entropy)
    server: Server = app.extensions[EXTENSION]
    stopping = threading.Event()
    try:
        with listening(config) as listener, _coordinating(server.coordinator, config, clock):
            sockets: dict[int, Any] = {}
            web = cast(
                BaseWSGIServer,
                create_server(
                    app,
                    map=sockets,
                    sockets=[listener],
                    threads=config.threads,
                    connection_limit=config.connections,
                    max_request_body_size=config.max_blob_bytes + 1,
                    recv_bytes=RECEIVE_BYTES,
                    ident="pocketfed",
                ),
            )
            # A queue of a few requests is ordinary; waitress would warn of each.
            python_logging.getLogger("waitress.queue").setLevel(python_logging.ERROR)
            _stop_on_signals(stopping, web.pull_trigger)
            url = url_of(listener)
            server.folder.announce(url)
            sys.stdout.write(f"pocketfed server at {url}\n")
            sys.stdout.flush()
            while not stopping.is_set():
                wasyncore.loop(timeout=_POLL_S, use_poll=True, map=sockets, count=1)
            web.task_dispatcher.shutdown(cancel_pending=False, timeout=GRACE_S)
            wasyncore.loop(timeout=0.0, use_poll=True, map=sockets, count=10)
            wasyncore.close_all(sockets)
    finally:
        server.folder.withdraw()
        server.close()


def _stop_on_signals(stopping: threading.Event, wake: Callable[[], None]) -> None:
    def stop(number: int, frame: object) -> None:
        stopping.set()
        wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _coordinating(
    coordinator: Coordinator, config: Config, clock: Callable[[], float]
) -> AbstractContextManager[None]:
    """The coordinator's thread, if this process is to have one."""
    if config.coordinator != "thread":
        return nullcontext()
    return ticking(coordinator, tick_s=config.tick_s, clock=clock, grace_s=GRACE_S)

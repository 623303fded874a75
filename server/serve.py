"""One process: waitress answers requests, and a thread moves the rounds on."""

from __future__ import annotations

import logging as python_logging
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from absl import logging
from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from ..protocol.errors import ConfigError
from .app import EXTENSION, Server, create_app
from .config import Config
from .coordinator import Coordinator
from .watch import log_to

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
    app = create_app(config, clock=clock, entropy=entropy)
    server: Server = app.extensions[EXTENSION]
    stopping = threading.Event()
    try:
        with _listening(config) as listener, _ticking(server.coordinator, config, clock):
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
            url = _url_of(listener)
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


@contextmanager
def _listening(config: Config) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listener = socket.create_server((config.host, config.port), family=family, backlog=1024)
    except OSError as error:
        address = f"{config.host}:{config.port}"
        raise ConfigError("host, port", address, f"cannot listen: {error.strerror}") from error
    with listener:
        yield listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _ticking(
    coordinator: Coordinator, config: Config, clock: Callable[[], float]
) -> Iterator[None]:
    """Runs the coordinator's thread; an inline one needs none."""
    if config.coordinator == "inline":
        yield
        return
    stopping = threading.Event()

    def tick() -> None:
        while not stopping.is_set():
            try:
                coordinator.tick(clock())
            except Exception:  # the rim: a failing tick is tried again, not the end of all rounds
                logging.exception("the coordinator failed; it goes on at its next tick")
            coordinator.wake.wait(config.tick_s)
            coordinator.wake.clear()

    thread = threading.Thread(target=tick, name="coordinator", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        coordinator.wake.set()
        thread.join(GRACE_S)

"""Many processes: gunicorn with gevent workers, where a stalled phone costs a connection only."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.http.unreader import SocketUnreader

from ...protocol.errors import PocketFedError
from ..app import EXTENSION, Server, create_app
from ..blobs.arrivals import CHUNK_BYTES
from ..config import Config
from ..watch import child_exit, share_metrics
from .folder import DataFolder
from .listening import listening, url_of

GRACE_S = 20
# A phone that says nothing between two requests, or has not ended its head, is hung up on.
KEEP_ALIVE_S = 10
# A worker that does not come back to its loop for so long is replaced.
FROZEN_S = 60
BOOT_FAILED = 3


def serve_workers(config: Config) -> None:
    """Runs ``config.workers`` processes until SIGTERM or SIGINT; ends with SystemExit.

    The address is printed as one line and kept in ``server.json`` while it runs.
    """
    folder = DataFolder.claim(config.data_dir, is_shared=True)
    try:
        with listening(config) as listener:
            url, descriptor = url_of(listener), os.dup(listener.fileno())
        share_metrics(folder.path / "metrics")
        _Workers(config, folder, url=url, descriptor=descriptor).run()
    finally:
        folder.withdraw()
        folder.release()


class _Workers(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's view of a server: its settings, and what a worker loads after the fork."""

    def __init__(self, config: Config, folder: DataFolder, *, url: str, descriptor: int) -> None:
        self._config = config
        self._folder = folder
        self._url = url
        self._descriptor = descriptor
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": f"fd://{self._descriptor}",
            "workers": self._config.workers,
            "worker_class": "gevent",
            "worker_connections": self._config.connections,
            "keepalive": KEEP_ALIVE_S,
            "graceful_timeout": GRACE_S,
            "timeout": FROZEN_S,
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": self._announce,
            "worker_exit": _close,
            "child_exit": child_exit,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)
        # Bodies are read so many bytes at a time; of more, gunicorn copies the rest at each read.
        reader: Any = SocketUnreader
        reader.max_body_chunk = CHUNK_BYTES

    def load(self) -> Callable[..., Any]:
        """Connections to the database are made here, in the worker: none may cross a fork."""
        try:
            return create_app(self._config, clock=time.time, entropy=secrets.token_bytes)
        except PocketFedError as error:
            sys.stderr.write(f"pocketfed: a worker cannot start: {error}\n")
            raise SystemExit(BOOT_FAILED) from error

    def _announce(self, arbiter: object) -> None:
        self._folder.announce(self._url)
        sys.stdout.write(f"pocketfed server at {self._url} with {self._config.workers} workers\n")
        sys.stdout.flush()


def _close(arbiter: object, worker: Any) -> None:
    app = getattr(worker, "wsgi", None)
    if app is not None:
        server: Server = app.extensions[EXTENSION]
        server.close()

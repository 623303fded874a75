"""The application: the only place where the parts of the server meet."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from flask import Flask, Response

from . import admin_api, device_api
from .access import Access
from .admission import Admission
from .blobs import Blobs
from .config import Config
from .control import Control
from .coordinator import Coordinator
from .delivery import Delivery
from .folder import DataFolder
from .http import MAX_JSON_BYTES, answer_errors
from .store import Store
from .tasks import Tasks

EXTENSION = "pocketfed"


@dataclass(frozen=True)
class Server:
    """What lives as long as an application: ``app.extensions["pocketfed"]``."""

    coordinator: Coordinator
    folder: DataFolder
    admin_token: str
    _resources: ExitStack

    def close(self) -> None:
        """Lets go of the data folder; the application answers no more."""
        self._resources.close()


def create_app(
    config: Config,
    *,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> Flask:
    """Assembles a server on ``config.data_dir`` and goes on where the last one there stopped.

    All time comes from ``clock``, all ids and tokens from ``entropy``. Raises ConfigError when the
    folder cannot be used or another server runs on it.
    """
    with ExitStack() as resources:
        folder = DataFolder.claim(config.data_dir)
        resources.callback(folder.release)
        store = Store.open(folder.path / "pocketfed.sqlite3", connections=config.threads + 1)
        resources.callback(store.close)
        blobs = Blobs(folder.path / "blobs")
        is_inline = config.coordinator == "inline"
        coordinator = Coordinator(store, blobs, clock=clock, is_inline=is_inline)
        coordinator.sweep(clock())
        admin_token = config.admin_token or folder.admin_token(entropy)
        access = Access(store, blobs, admin_token=admin_token)
        admission = Admission(store=store, coordinator=coordinator, clock=clock, entropy=entropy)
        delivery = Delivery(store=store, blobs=blobs, coordinator=coordinator, clock=clock)
        tasks = Tasks(store=store, blobs=blobs, coordinator=coordinator, clock=clock)
        control = Control(store=store, coordinator=coordinator, clock=clock)

        app = Flask(__name__, static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = MAX_JSON_BYTES
        app.register_blueprint(device_api.blueprint(admission, delivery, access))
        app.register_blueprint(
            admin_api.blueprint(tasks, control, access, max_blob_bytes=config.max_blob_bytes)
        )
        answer_errors(app)
        _answer_probes(app, store)
        app.extensions[EXTENSION] = Server(coordinator, folder, admin_token, resources.pop_all())
        return app


def _answer_probes(app: Flask, store: Store) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        store.require_ready()
        return Response("ok\n", mimetype="text/plain")

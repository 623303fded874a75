"""The application: the only place where the parts of the server meet."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from flask import Blueprint, Flask, Response

from . import admin_api, device_api, page_api, watch_api
from .access import Access
from .admission import Admission
from .blobs import Blobs
from .config import Config
from .control import Control
from .coordinator import Coordinator
from .delivery import Delivery
from .folder import DataFolder
from .funnel import Funnels
from .http import JSON, MAX_JSON_BYTES, answer_errors
from .login import Login
from .openapi import describe
from .store import Store
from .tasks import Tasks
from .watch import logs
from .witness import Witness

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
    timer: Callable[[], float] = time.perf_counter,
) -> Flask:
    """Assembles a server on ``config.data_dir`` and goes on where the last one there stopped.

    All time comes from ``clock``, all ids and tokens from ``entropy``; ``timer`` measures how long
    things take. Raises ConfigError when the folder cannot be used or another server runs on it.
    """
    from .watch.metrics import Metrics  # not before a launcher has said whom to count with
    from .watch.state import State

    with ExitStack() as resources:
        folder = DataFolder.claim(config.data_dir)
        resources.callback(folder.release)
        store = Store.open(folder.path / "pocketfed.sqlite3", connections=config.threads + 1)
        resources.callback(store.close)
        store.notice = logs.log_transitions
        blobs = Blobs(folder.path / "blobs")
        metrics = Metrics(State(store, folder=folder.path, clock=clock), timer=timer)
        coordinator = Coordinator(
            store,
            blobs,
            clock=clock,
            is_inline=config.coordinator == "inline",
            measure_fold=metrics.fold,
        )
        coordinator.sweep(clock())
        admin_token = config.admin_token or folder.admin_token(entropy)
        access = Access(store, blobs, admin_token=admin_token)
        admission = Admission(store=store, coordinator=coordinator, clock=clock, entropy=entropy)
        delivery = Delivery(store=store, blobs=blobs, coordinator=coordinator, clock=clock)
        tasks = Tasks(store=store, blobs=blobs, coordinator=coordinator, clock=clock)

        app = _application(store)
        funnels = Funnels(store=store, clock=clock)
        watch_api.watch_requests(app, metrics, timer=timer, seed=entropy(4))
        for api in (
            device_api.blueprint(admission, delivery, access, Witness(funnels, metrics)),
            _operators_side(tasks, funnels, access, max_blob_bytes=config.max_blob_bytes),
            watch_api.blueprint(metrics, token=config.metrics_token),
            page_api.blueprint(Login(admin_token, clock=clock), access),
        ):
            app.register_blueprint(api)
        app.extensions[EXTENSION] = Server(coordinator, folder, admin_token, resources.pop_all())
        return app


def _operators_side(
    tasks: Tasks, funnels: Funnels, access: Access, *, max_blob_bytes: int
) -> Blueprint:
    control = Control(store=tasks.store, coordinator=tasks.coordinator, clock=tasks.clock)
    return admin_api.blueprint(tasks, control, funnels, access, max_blob_bytes=max_blob_bytes)


def _application(store: Store) -> Flask:
    """What answers before anything is known of devices and tasks."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_JSON_BYTES
    answer_errors(app)
    _answer_probes(app, store)
    _describe_itself(app)
    return app


def _answer_probes(app: Flask, store: Store) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        store.require_ready()
        return Response("ok\n", mimetype="text/plain")


def _describe_itself(app: Flask) -> None:
    @app.get("/v1/openapi.json")
    def openapi() -> Response:
        return Response(json.dumps(describe()), mimetype=JSON)

"""The application: the only place where the parts of the server meet."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from . import admin_api, device_api, download_api
from .access import Access
from .admission import Admission
from .attestation import Verifier
from .config import Config
from .coordinator import Coordinator
from .devices import Devices
from .direct_delivery import DirectDelivery
from .folder import DataFolder
from .ground import Ground, stand_on
from .http import MAX_JSON_BYTES, answer_errors
from .steering import Steering
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
    verifier: Verifier | None = None,
) -> Flask:
    """Assembles a server on its data and goes on where the last one there stopped.

    All time comes from ``clock``, all ids and tokens from ``entropy``; ``verifier`` judges who
    enrols, in place of the one the settings name. Raises ConfigError when the
    folder cannot be used or another server runs on it, Unavailable when the database fails.
    """
    with ExitStack() as resources:
        ground = stand_on(config, clock=clock, entropy=entropy, resources=resources)
        app = Flask(__name__, static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = MAX_JSON_BYTES
        if config.proxy_hops:
            hops = config.proxy_hops
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
        _register(app, config, ground, verifier or config.verifier())
        answer_errors(app)
        _answer_probes(app, ground)
        server = Server(ground.coordinator, ground.folder, ground.admin_token, resources.pop_all())
        app.extensions[EXTENSION] = server
        return app


def _register(app: Flask, config: Config, ground: Ground, verifier: Verifier | None) -> None:
    """Gives the application its routes, each with the use cases it calls."""
    store, blobs, coordinator = ground.store, ground.blobs, ground.coordinator
    seals, clock, entropy = ground.seals, ground.clock, ground.entropy
    steering = Steering()
    access = Access(store=store, seals=seals, clock=clock, admin_token=ground.admin_token)
    devices = Devices(
        store=store,
        clock=clock,
        entropy=entropy,
        seals=seals,
        verifier=verifier,
        token_ttl_s=config.token_ttl_s,
        enrolments=config.enrolments,
    )
    admission = Admission(
        store=store,
        coordinator=coordinator,
        headroom=ground.headroom,
        clock=clock,
        entropy=entropy,
        steering=steering,
        check_ins=config.check_ins,
    )
    delivery = DirectDelivery(
        store=store,
        blobs=blobs,
        coordinator=coordinator,
        clock=clock,
        seals=seals,
        steering=steering,
    )
    tasks = Tasks(store=store, blobs=blobs, coordinator=coordinator, clock=clock)
    app.register_blueprint(device_api.blueprint(devices, admission, delivery, access))
    app.register_blueprint(download_api.blueprint(access, blobs))
    app.register_blueprint(admin_api.blueprint(tasks, devices, access, config))


def _answer_probes(app: Flask, ground: Ground) -> None:
    store, blobs, headroom = ground.store, ground.blobs, ground.headroom

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        store.require_ready()
        blobs.require_ready()
        # Still ready: whoever holds a place must be able to deliver.
        is_low = headroom.is_low
        text = f"storage low: {headroom.free_bytes} bytes are free\n" if is_low else "ok\n"
        return Response(text, mimetype="text/plain")

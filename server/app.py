"""The application: the only place where the parts of the server meet."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from .config import Config
from .coordination.coordinator import Coordinator
from .operating.control import Control
from .operating.tasks import Tasks
from .running.folder import DataFolder
from .running.ground import Ground, stand_on
from .taking_part.admission import Admission
from .taking_part.direct_delivery import DirectDelivery
from .taking_part.steering import Steering
from .trust.attestation import Verifier
from .trust.devices import Devices
from .watch.funnel import Funnels
from .watch.witness import Witness
from .web import admin_api, device_api, download_api, page_api, watch_api
from .web.access import Access
from .web.http import JSON, MAX_JSON_BYTES, answer_errors
from .web.login import Login
from .web.openapi import describe

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
    timer: Callable[[], float] = time.perf_counter,
    is_flushed: bool = True,
) -> Flask:
    """Assembles a server on its data and goes on where the last one there stopped.

    All time comes from ``clock``, all ids and tokens from ``entropy``; ``timer`` measures how long
    things take, and ``verifier`` judges who enrols, in place of the one the settings name. What is
    not ``is_flushed`` outlives this process, but no power cut: for data that nobody wants after
    one. Raises ConfigError when the folder cannot be used or another server runs on it, Unavailable
    when the database fails.
    """

    with ExitStack() as resources:
        ground = stand_on(
            config,
            clock=clock,
            entropy=entropy,
            timer=timer,
            is_flushed=is_flushed,
            resources=resources,
        )
        app = _application(config, ground)
        watch_api.watch_requests(app, ground.metrics, timer=timer, seed=entropy(4))
        _register(app, config, ground, verifier or config.verifier())
        server = Server(ground.coordinator, ground.folder, ground.admin_token, resources.pop_all())
        app.extensions[EXTENSION] = server
        return app


def _application(config: Config, ground: Ground) -> Flask:
    """What answers before anything is known of devices and tasks."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_JSON_BYTES
    if config.proxy_hops:
        hops = config.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    answer_errors(app)
    _answer_probes(app, ground)
    _describe_itself(app)
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
    control = Control(store=store, coordinator=coordinator, clock=clock)
    funnels = Funnels(store=store, clock=clock)
    witness = Witness(funnels, ground.metrics)
    for api in (
        device_api.blueprint(devices, admission, delivery, access, witness),
        download_api.blueprint(access, blobs),
        admin_api.blueprint(tasks, control, devices, funnels, access, config),
        watch_api.blueprint(ground.metrics, token=config.metrics_token),
        page_api.blueprint(Login(ground.admin_token, clock=clock), access),
    ):
        app.register_blueprint(api)


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


def _describe_itself(app: Flask) -> None:
    @app.get("/v1/openapi.json")
    def openapi() -> Response:
        return Response(json.dumps(describe()), mimetype=JSON)

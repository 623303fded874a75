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
from .blobs import Blobs, open_blobs
from .config import Config
from .coordinator import Coordinator
from .devices import Devices
from .direct_delivery import DirectDelivery
from .folder import DataFolder
from .headroom import Headroom
from .http import MAX_JSON_BYTES, answer_errors
from .seals import Seals
from .steering import Steering
from .store import Store
from .sweeper import Sweeper
from .tasks import Tasks
from .workers import workers_of

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
    """Assembles a server on ``config.data_dir`` and goes on where the last one there stopped.

    All time comes from ``clock``, all ids and tokens from ``entropy``; ``verifier`` judges who
    enrols, in place of the one the settings name. Raises ConfigError when the
    folder cannot be used or another server runs on it.
    """
    with ExitStack() as resources:
        parts = _open(config, resources, clock, entropy)
        app = Flask(__name__, static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = MAX_JSON_BYTES
        if config.proxy_hops:
            hops = config.proxy_hops
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
        _register(app, config, parts, verifier or config.verifier())
        answer_errors(app)
        _answer_probes(app, parts)
        server = Server(parts.coordinator, parts.folder, parts.admin_token, resources.pop_all())
        app.extensions[EXTENSION] = server
        return app


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What the use cases share."""

    folder: DataFolder
    store: Store
    blobs: Blobs
    headroom: Headroom
    coordinator: Coordinator
    seals: Seals
    admin_token: str
    clock: Callable[[], float]
    entropy: Callable[[int], bytes]


def _open(
    config: Config,
    resources: ExitStack,
    clock: Callable[[], float],
    entropy: Callable[[int], bytes],
) -> _Parts:
    folder = DataFolder.claim(config.data_dir)
    resources.callback(folder.release)
    store = Store.open(folder.path / "pocketfed.sqlite3", connections=config.threads + 1)
    resources.callback(store.close)
    blobs = open_blobs(config.blobs, folder=folder.path, presigns=config.presign)
    sweeper = Sweeper(store, blobs, every_s=config.sweep_s, keep_updates_s=config.keep_updates_s)
    sweeper.run(clock())
    coordinator = Coordinator(
        store,
        blobs,
        sweeper=sweeper,
        clock=clock,
        is_inline=config.coordinator == "inline",
        workers=workers_of(config.fold, scratch=folder.path),
    )
    with store.write() as tx:
        seals = Seals(bytes.fromhex(tx.signing_key(entropy(32).hex())))
    return _Parts(
        folder=folder,
        store=store,
        blobs=blobs,
        headroom=_headroom(folder, config),
        coordinator=coordinator,
        seals=seals,
        admin_token=config.admin_token or folder.admin_token(entropy),
        clock=clock,
        entropy=entropy,
    )


def _register(app: Flask, config: Config, parts: _Parts, verifier: Verifier | None) -> None:
    """Gives the application its routes, each with the use cases it calls."""
    store, blobs, coordinator = parts.store, parts.blobs, parts.coordinator
    seals, clock, entropy = parts.seals, parts.clock, parts.entropy
    steering = Steering()
    access = Access(store=store, seals=seals, clock=clock, admin_token=parts.admin_token)
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
        headroom=parts.headroom,
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


def _headroom(folder: DataFolder, config: Config) -> Headroom:
    """Watches the data folder, and the blobs in it in case they have a disk of their own."""
    folders = [folder.path, folder.path / "blobs"]
    present = tuple(path for path in folders if path.is_dir())
    return Headroom(folders=present, min_free_bytes=config.min_free_bytes)


def _answer_probes(app: Flask, parts: _Parts) -> None:
    store, blobs, headroom = parts.store, parts.blobs, parts.headroom

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

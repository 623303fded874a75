"""The application for a WSGI server of one's own, set by ``POCKETFED_…`` in the environment.

::

    gunicorn --worker-class gevent --workers 4 'pocketfed.server.wsgi:app()'

Each worker process makes its own, after the fork; do not preload it.
"""

from __future__ import annotations

import os

from flask import Flask

from ..protocol.errors import ConfigError
from .app import create_app
from .config import load


def app() -> Flask:
    """Raises ConfigError for a setting that cannot be used, Unavailable without the database."""
    config = load(flags={}, environment=os.environ)
    if config.coordinator == "thread":
        reason = "no thread runs here: set none and run `pocketfed coordinate`, or inline if alone"
        raise ConfigError("coordinator", config.coordinator, reason)
    return create_app(config)

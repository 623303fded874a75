"""The application for a WSGI server of one's own, set by ``POCKETFED_…`` in the environment.

::

    gunicorn --worker-class gevent --workers 4 'pocketfed.server.wsgi:app()'

Each worker process makes its own, after the fork; do not preload it.
"""

from __future__ import annotations

import os

from flask import Flask

from .app import create_app
from .config import load


def app() -> Flask:
    """Raises ConfigError for a setting that cannot be used, Unavailable without the database."""
    return create_app(load(flags={}, environment=os.environ))

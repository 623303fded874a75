"""The aggregation server: Flask over a real database; it never imports TensorFlow.

``create_app`` assembles the application, ``serve`` runs it in one process.
"""

from .app import create_app
from .config import SETTINGS, Config
from .running.serve import serve

__all__ = ["SETTINGS", "Config", "create_app", "serve"]

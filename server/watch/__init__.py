"""Watching a running server: its log, its metrics, and what it makes known of itself.

``metrics`` and ``state`` load prometheus-client, which decides as it is loaded whether processes
share their counts; so nothing here loads them before the application is made.
"""

from .logs import bind, log_to
from .processes import child_exit, share_metrics

__all__ = ["bind", "child_exit", "log_to", "share_metrics"]

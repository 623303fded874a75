"""The socket a server listens on, and the address it is known by."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ...protocol.errors import ConfigError
from ..config import Config


@contextmanager
def listening(config: Config) -> Iterator[socket.socket]:
    """Raises ConfigError when the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listener = socket.create_server((config.host, config.port), family=family, backlog=1024)
    except OSError as error:
        address = f"{config.host}:{config.port}"
        raise ConfigError("host, port", address, f"cannot listen: {error.strerror}") from error
    with listener:
        yield listener


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

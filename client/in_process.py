"""A server in this process: requests go straight to its WSGI application.

The application sees what an httpx client with a WSGI transport would show it, byte for byte and
header for header, for a tenth of the work.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_UNMARKED = ("CONTENT_TYPE", "CONTENT_LENGTH")
_WITH_BODY = ("POST", "PUT", "PATCH")


@dataclass(frozen=True)
class Answer:
    """What an application answered; the names of ``headers`` are in lower case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def has_redirect_location(self) -> bool:
        return 300 <= self.status_code < 400 and "location" in self.headers


class InProcess:
    """One application under one address; ``headers`` go with every request."""

    def __init__(
        self, app: WSGIApplication, *, address: httpx.URL, headers: Mapping[str, str]
    ) -> None:
        self._app = app
        self._path = address.path.rstrip("/")
        self._always = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": address.scheme,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "SCRIPT_NAME": "",
            "SERVER_NAME": address.host,
            "SERVER_PORT": str(address.port or {"http": 80, "https": 443}[address.scheme]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": address.netloc.decode("ascii"),
            **_variables(headers),
        }

    def request(
        self, method: str, path: str, *, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """Sends one request to a path of the application; what it raises is raised."""
        path, _, query = (self._path + path).partition("?")
        environ: dict[str, Any] = {
            **self._always,
            "REQUEST_METHOD": method,
            "PATH_INFO": _unquoted(path),
            "QUERY_STRING": query,
            "wsgi.input": io.BytesIO(content or b""),
        }
        if content or method in _WITH_BODY:
            environ["CONTENT_LENGTH"] = str(len(content or b""))
        environ.update(_variables(headers))
        return self._answer(environ)

    def _answer(self, environ: dict[str, Any]) -> Answer:
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, fields: list[tuple[str, str]], failure: Any = None) -> Any:
            if failure is not None:
                raise failure[1]
            begun.append((status, fields))
            return _no_writing

        parts = self._app(environ, start)
        content = _joined(parts)
        status, fields = begun[-1]
        headers = {name.lower(): value for name, value in fields}
        return Answer(int(status[:3]), headers, content)


def _variables(headers: Mapping[str, str]) -> dict[str, str]:
    """Header fields by their names in a WSGI environment."""
    found = {}
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        found[key if key in _UNMARKED else f"HTTP_{key}"] = value
    return found


def _unquoted(path: str) -> str:
    """A path as WSGI wants it: decoded, each byte as one character (PEP 3333)."""
    if "%" in path or not path.isascii():
        path = httpx.URL(path).path.encode().decode("latin-1")
    return path


def _joined(parts: Iterable[bytes]) -> bytes:
    close: Callable[[], object] | None = getattr(parts, "close", None)
    try:
        return b"".join(parts)
    finally:
        if close is not None:
            close()


def _no_writing(_: bytes) -> None:
    """What ``start_response`` returns; applications of today return their body instead."""

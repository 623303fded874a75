"""One HTTP exchange at a time: answers become records, problems become errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx
import msgspec

from ..protocol.errors import NoAnswer, PocketFedError, ProtocolError, Unavailable
from ..protocol.problems import Problem, from_problem
from ..protocol.record import Record
from .in_process import Answer, InProcess

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_PROBLEM = "application/problem+json"
_PASSING = {408, 429}  # of an object store or a proxy, which write no problem documents


@dataclass
class Traffic:
    """Bytes of message bodies a client has sent and received; headers are not counted."""

    up: int = 0
    down: int = 0


class Session:
    """Speaks to one server, over a socket or over any other httpx transport; a context manager.

    An ``app`` is a server in this process, called without any transport; other hosts are still
    reached over the network.
    """

    def __init__(
        self,
        server: str,
        *,
        transport: httpx.BaseTransport | None = None,
        app: WSGIApplication | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self._http = httpx.Client(base_url=server, transport=transport, timeout=timeout_s)
        self._in_process: InProcess | None = None
        if app is not None:
            address, headers = self._http.base_url, self._http.headers
            self._in_process = InProcess(app, address=address, headers=headers)

    def exchange(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: bytes | Record | None = None,
        headers: dict[str, str] | None = None,
        traffic: Traffic | None = None,
    ) -> httpx.Response | Answer:
        """Sends one request and returns its 2xx answer; a GET follows redirects.

        The token goes to the server alone: not to an absolute address, nor along with a redirect to
        another host. Raises the error the server's problem document names, or NoAnswer.
        """
        content = body.to_json() if isinstance(body, Record) else body
        fields = dict(headers or {})
        if isinstance(body, Record):
            fields["Content-Type"] = "application/json"
        if token is not None and not is_foreign(path):
            fields.setdefault("Authorization", f"Bearer {token}")
        answer = self._send(method, path, content, fields)
        if traffic is not None:
            traffic.up += len(content or b"")
            traffic.down += len(answer.content)
        if not answer.is_success:
            raise _error_of(answer)
        return answer

    def _send(
        self, method: str, path: str, content: bytes | None, fields: dict[str, str]
    ) -> httpx.Response | Answer:
        if self._in_process is not None and not is_foreign(path):
            answer = self._in_process.request(method, path, content=content, headers=fields)
            if method != "GET" or not answer.has_redirect_location:
                return answer
            path = answer.headers["location"]
            fields = {name: fields[name] for name in fields if name != "Authorization"}
        return self._send_over_http(method, path, content, fields)

    def _send_over_http(
        self, method: str, path: str, content: bytes | None, fields: dict[str, str]
    ) -> httpx.Response:
        try:
            return self._http.request(
                method, path, content=content, headers=fields, follow_redirects=method == "GET"
            )
        except httpx.TransportError as error:
            server = self._http.base_url
            raise NoAnswer(f"{server} did not answer: {error}; is the server running?") from error

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_foreign(url: str) -> bool:
    """Whether an address names its host itself, instead of being relative to the server."""
    if url.startswith("/"):
        return url.startswith("//")
    return httpx.URL(url).is_absolute_url


def _error_of(answer: httpx.Response | Answer) -> PocketFedError:
    if answer.headers.get("content-type", "").startswith(_PROBLEM):
        try:
            return from_problem(msgspec.json.decode(answer.content, type=Problem))
        except msgspec.DecodeError:
            pass
    if answer.status_code >= 500 or answer.status_code in _PASSING:
        return Unavailable(f"the server answered {answer.status_code}")
    return ProtocolError(f"the server answered {answer.status_code} without a problem document")

"""A tape of what one device and its server said to each other, for clients in other languages.

A file has ``update``, the body of the device's delta in Base64, and ``sessions``: each the
``exchanges`` of one session and the ``outcome`` it has for the device. An exchange is a request,
``to`` the ``server`` or the ``store``, and the ``answer``. Of the headers it has those that matter:
one that is not there must not be sent. What was random is the same whenever it is recorded. An
answer with a ``fault`` does not arrive as it was given: ``cut`` ends after half of its body,
``lost`` does not come at all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from pocketfed.protocol import wire
from pocketfed.protocol.record import Record

STORE = "http://store"
_ASKED = (
    "Authorization",
    "Idempotency-Key",
    "Content-Type",
    "Content-Digest",
    "Range",
    "If-Range",
    "x-amz-checksum-sha256",
)
_ANSWERED = ("Location", "Retry-After", "ETag", "Content-Range", "Content-Type")


@dataclass
class Tape:
    """Sends requests to ``server`` and, where they name another host, to the store at ``store``."""

    server: httpx.Client
    store: str = ""
    sessions: list[dict[str, Any]] = field(default_factory=list)
    _exchanges: list[dict[str, Any]] = field(default_factory=list)

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Record | bytes | None = None,
    ) -> httpx.Response:
        """Sends a request and keeps both sides of it."""
        sent = _without_nulls(body) if isinstance(body, Record) else body
        content = json.dumps(sent).encode() if isinstance(sent, dict) else sent
        answer = self._sent(method, url, dict(headers), content)
        asked = {name: headers[name] for name in _ASKED if name in headers}
        exchange: dict[str, Any] = {
            "to": "store" if self._is_foreign(url) else "server",
            "method": method,
            "path": self._plain(url).removeprefix(STORE),
            "headers": asked,
        }
        if isinstance(sent, dict):
            exchange["json"] = sent
        elif sent is not None:
            exchange |= {"bytes": len(sent), "sha256": wire.sha256(sent)}
        exchange["answer"] = self._answered(answer)
        self._exchanges.append(exchange)
        return answer

    def spoil(self, fault: str) -> None:
        """Has the last answer not arrive as it was given."""
        self._exchanges[-1]["answer"]["fault"] = fault

    def ends(self, outcome: str) -> None:
        """Closes a session."""
        self.sessions.append({"outcome": outcome, "exchanges": self._exchanges})
        self._exchanges = []

    def _sent(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None
    ) -> httpx.Response:
        if self._is_foreign(url):
            return httpx.request(method, url, headers=headers, content=content)
        return self.server.request(method, url, headers=headers, content=content)

    def _answered(self, answer: httpx.Response) -> dict[str, Any]:
        headers = {
            name: self._plain(answer.headers[name]) for name in _ANSWERED if name in answer.headers
        }
        said: dict[str, Any] = {"status": answer.status_code, "headers": headers}
        if "json" in answer.headers.get("Content-Type", ""):
            return said | {"json": json.loads(self._plain_json(answer.json()))}
        if answer.content and answer.is_success:
            said["base64"] = base64.b64encode(answer.content).decode()
        return said

    def _plain_json(self, said: Any) -> str:
        if isinstance(said, dict) and "url" in said:
            said = said | {"url": self._plain(said["url"])}
        return json.dumps(said)

    def _is_foreign(self, url: str) -> bool:
        return bool(self.store) and url.startswith(self.store)

    def _plain(self, url: str) -> str:
        """The store under a name of its own, without the signature, which has the time in it."""
        if not self._is_foreign(url):
            return url
        return STORE + url.removeprefix(self.store).partition("?")[0] + "?signed"


def _without_nulls(record: Record) -> dict[str, Any]:
    """A message as a client writes it that leaves out what is null."""
    return _pruned(json.loads(record.to_json()))


def _pruned(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _pruned(value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if value is not None
    }

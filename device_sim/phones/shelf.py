"""What a phone keeps between sessions: models and manifests, by their SHA-256.

The bytes are held once per process, yet each phone downloads them once itself, so that its traffic
is what a real phone's would be.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from ...client import DeviceClient
from ...protocol.messages import Assignment, Resource

KEPT = 16


class Shelf:
    """The bytes that phones have downloaded last; safe to use from several threads."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, sha256: str) -> bytes | None:
        """These bytes as some phone got them before, or None."""
        with self._lock:
            if sha256 in self._bodies:
                self._bodies.move_to_end(sha256)
            return self._bodies.get(sha256)

    def put(self, sha256: str, body: bytes) -> bytes:
        """Takes in checked bytes; returns those that are held, one object for all phones."""
        with self._lock:
            held = self._bodies.setdefault(sha256, body)
            self._bodies.move_to_end(sha256)
            if len(self._bodies) > KEPT:
                self._bodies.popitem(last=False)
            return held

    def bodies(self, names: Iterable[str]) -> dict[str, bytes]:
        """Those of the named bytes that are here."""
        with self._lock:
            return {name: self._bodies[name] for name in names if name in self._bodies}


class Storage:
    """One phone's part of the shelf; ``held`` are the SHA-256 it has downloaded for good."""

    def __init__(self, shelf: Shelf, client: DeviceClient, held: frozenset[str]) -> None:
        self._shelf = shelf
        self._client = client
        self.held = held

    def model(self, assignment: Assignment) -> dict[str, bytes]:
        """Model and manifest, by their SHA-256; downloads what this phone lacks."""
        return {one.sha256: self._lasting(one) for one in (assignment.model, assignment.manifest)}

    def checkpoint(self, assignment: Assignment) -> dict[str, bytes]:
        """The checkpoint, by its SHA-256; downloads it."""
        return {assignment.checkpoint.sha256: self._download(assignment.checkpoint)}

    def _lasting(self, resource: Resource) -> bytes:
        known = self._shelf.known(resource.sha256) if resource.sha256 in self.held else None
        body = self._download(resource) if known is None else known
        self.held |= {resource.sha256}
        return body

    def _download(self, resource: Resource) -> bytes:
        known = self._shelf.known(resource.sha256)
        return self._shelf.put(resource.sha256, self._client.download(resource, known=known))

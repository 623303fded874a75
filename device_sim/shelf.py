"""What a phone keeps between sessions: models and manifests, by their SHA-256.

The bytes are held once per process, yet each phone downloads them once itself, so that its traffic
is what a real phone's would be.
"""

from __future__ import annotations

from ..client import DeviceClient
from ..protocol.artifact import Manifest
from ..protocol.messages import Assignment, Resource


class Shelf:
    """Bytes that some phone has downloaded."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self._manifests: dict[str, Manifest] = {}

    def put(self, sha256: str, body: bytes) -> None:
        self._bodies.setdefault(sha256, body)

    def body(self, sha256: str) -> bytes:
        return self._bodies[sha256]

    def manifest(self, sha256: str) -> Manifest:
        """These bytes as a manifest; raises MalformedPayload."""
        if sha256 not in self._manifests:
            self._manifests[sha256] = Manifest.from_json(self._bodies[sha256])
        return self._manifests[sha256]


class Storage:
    """One phone's part of the shelf."""

    def __init__(self, shelf: Shelf, client: DeviceClient) -> None:
        self._shelf = shelf
        self._client = client
        self._held: set[str] = set()

    def obtain(self, assignment: Assignment) -> None:
        """Downloads the model and the manifest unless this phone already has them."""
        for resource in (assignment.model, assignment.manifest):
            self._obtain(resource)

    def model(self, assignment: Assignment) -> bytes:
        return self._shelf.body(assignment.model.sha256)

    def manifest(self, assignment: Assignment) -> Manifest:
        return self._shelf.manifest(assignment.manifest.sha256)

    def _obtain(self, resource: Resource) -> None:
        if resource.sha256 not in self._held:
            self._shelf.put(resource.sha256, self._client.download(resource))
            self._held.add(resource.sha256)

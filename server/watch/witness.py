"""The witness of what devices do: it counts for the metrics, and durably for the funnel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...protocol.errors import PocketFedError, Unavailable
from ...protocol.messages import Receipt, Rejection
from .funnel import Funnels

if TYPE_CHECKING:
    from .metrics import Metrics


@dataclass(frozen=True)
class Witness:
    """Is told by the devices' side of HTTP what came of a request."""

    funnels: Funnels
    metrics: Metrics

    def rejected(self, rejection: Rejection) -> None:
        self.metrics.reject(rejection.reason.value)

    def accepted(self, receipt: Receipt) -> None:
        self.metrics.accept(receipt.bytes)

    @contextmanager
    def upload(self, device_id: str, assignment_id: str) -> Iterator[None]:
        """Surrounds the taking of an update, and counts it if it is refused."""
        try:
            yield
        except PocketFedError as error:
            self.metrics.refuse(error.code)
            with suppress(Unavailable):  # the device is told what was wrong with its update
                self.funnels.refuse(device_id, assignment_id, error)
            raise

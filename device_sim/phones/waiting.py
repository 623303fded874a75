"""Waiting: the instants one phone draws from the windows it is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...protocol.plan import RetryWindow
from ..conditions import retry_stream


@dataclass
class Waits:
    """The waits of one phone, of which it has drawn so many: a number is all that is left of it."""

    seed: int
    device: int
    drawn: int

    def within(self, window: RetryWindow) -> float:
        """Seconds until the phone comes back."""
        return window.draw(self.next())

    def next(self) -> np.random.Generator:
        """For one wait: each draws one number."""
        drawn = self.drawn
        self.drawn += 1
        return retry_stream(seed=self.seed, device=self.device, drawn=drawn)

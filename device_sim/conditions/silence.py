"""Silence: at which point of a session a phone that drops out falls silent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ...protocol.errors import ConfigError


class Point(Enum):
    """The points of a session at which it can end without a word."""

    CHECKED_IN = "after check-in"
    DOWNLOADING = "in download"
    TRAINING = "in training"
    TRAINED = "before the report"
    UPLOADING = "in upload"
    UPLOADED = "after the upload, before its answer"


@dataclass(frozen=True)
class Silence:
    """How the drop-outs share out among the points; the weights add up to 1.

    In Bonawitz et al. 2019 (arXiv 1902.01046, table 1) 2 % of the sessions end in training, and
    what is lost elsewhere is too rare to be listed; so the default is training alone, and any
    other shares are assumptions. Raises ConfigError unless they add up to 1.
    """

    checked_in: float = 0.0
    downloading: float = 0.0
    training: float = 1.0
    trained: float = 0.0
    uploading: float = 0.0
    uploaded: float = 0.0

    def __post_init__(self) -> None:
        weights = [weight for _, weight in self._shares()]
        if min(weights) < 0 or abs(sum(weights) - 1) > 1e-9:
            raise ConfigError("silence", weights, "give shares that add up to 1")

    def point(self, drawn: float) -> Point:
        """The point for a number drawn uniformly from [0, 1)."""
        for point, weight in self._shares():
            drawn -= weight
            if drawn < 0:
                return point
        return max(self._shares(), key=lambda share: share[1])[0]

    def _shares(self) -> list[tuple[Point, float]]:
        return [(point, float(getattr(self, point.name.lower()))) for point in Point]


# Mostly in training, which lasts longest; a little everywhere else.
ANYWHERE = Silence(
    checked_in=0.1, downloading=0.1, training=0.5, trained=0.1, uploading=0.1, uploaded=0.1
)

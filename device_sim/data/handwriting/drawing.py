"""Drawing: the way of a pen becomes grey pixels, many digits at once.

Every point of the way leaves ink on the four pixels around it; the ink then spreads as wide as the
pen, and paper that is full takes no more. The arithmetic is elementwise, so that the same way gives
the same bytes on every processor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .strokes import Floats

SIDE = 28
_REACH = 3
# How often over the middle of a line is inked: the edge of a line lies where once is enough.
_SATURATION = 1.7


@dataclass(frozen=True)
class Pen:
    """A round pen; ``width_px`` is the standard deviation of its ink across a line."""

    width_px: float

    def draw(self, x: Floats, y: Floats, *, ink: Floats) -> npt.NDArray[np.uint8]:
        """Draws n digits, 0 is paper and 255 ink, [n, SIDE, SIDE].

        ``x`` and ``y`` are in pixels, [n, points], ``ink`` is what a point of each digit leaves,
        in pixels of the way, [n]. What leaves the page is drawn on its edge.
        """
        page = _dotted(x, y, ink)
        page = self._spread(np.swapaxes(self._spread(page), 1, 2))
        full = _SATURATION * self.width_px * math.sqrt(2 * math.pi)
        grey = np.minimum(np.swapaxes(page, 1, 2) * np.float32(255 * full), np.float32(255))
        pixels: npt.NDArray[np.uint8] = np.ascontiguousarray(grey).astype(np.uint8)
        return pixels

    def _spread(self, page: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Spreads ink along the second axis."""
        taps = [math.exp(-((step / self.width_px) ** 2) / 2) for step in range(_REACH + 1)]
        whole = taps[0] + 2 * sum(taps[1:])
        padded = np.pad(page, ((0, 0), (_REACH, _REACH), (0, 0)))
        spread = page * np.float32(taps[0] / whole)
        for step in range(1, _REACH + 1):
            before = padded[:, _REACH - step : _REACH - step + SIDE]
            after = padded[:, _REACH + step : _REACH + step + SIDE]
            spread += (before + after) * np.float32(taps[step] / whole)
        return spread


def _dotted(x: Floats, y: Floats, ink: Floats) -> npt.NDArray[np.float32]:
    """The ink that every point leaves on the four pixels around it."""
    x, y = (np.clip(side, 0.0, SIDE - 1.001) for side in (x, y))
    left, top = x.astype(np.int64), y.astype(np.int64)
    x -= left
    y -= top
    place = top * SIDE + left + (np.arange(len(x)) * SIDE * SIDE)[:, None]
    below, above = y * ink[:, None], (1 - y) * ink[:, None]
    places = np.stack([place, place + 1, place + SIDE, place + SIDE + 1])
    weights = np.stack([above * (1 - x), above * x, below * (1 - x), below * x])
    total = np.bincount(places.ravel(), weights.ravel(), minlength=len(x) * SIDE * SIDE)
    return total.astype(np.float32).reshape(len(x), SIDE, SIDE)

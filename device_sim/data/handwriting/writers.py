"""Writers: what is always so in one person's hand, and what varies from digit to digit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .drawing import SIDE, Pen
from .strokes import FORMS, POINTS, Floats, skeletons

# Slow bends along the way of the pen, per axis.
BENDS = 4


@dataclass(frozen=True)
class Writer:
    """One hand. Lengths are in heights of a digit unless they end in ``_px``.

    ``forms`` are the odds of each way to write each digit, ``bends`` how this writer bends each
    form, [forms, BENDS, 2]; ``unrest`` is how much a digit differs from the last of its kind.
    """

    height_px: float
    aspect: float
    slant: float
    turn: float
    offset_px: tuple[float, float]
    unrest: float
    pen: Pen
    forms: Floats
    bends: Floats

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Writer:
        """A person off the street."""
        height, aspect, slant, turn, right, down, unrest, width = rng.standard_normal(8).tolist()
        count = skeletons().first[-1]
        odds = [rng.dirichlet(np.full(len(forms), 0.5)) for forms in FORMS]
        return cls(
            height_px=min(max(18.5 + 1.6 * height, 14.0), 22.0),
            aspect=math.exp(0.16 * aspect),
            slant=min(max(0.12 + 0.24 * slant, -0.5), 0.7),
            turn=0.07 * turn,
            offset_px=(0.7 * right, 0.7 * down),
            unrest=0.022 * math.exp(0.35 * unrest),
            pen=Pen(width_px=min(max(0.8 * math.exp(0.25 * width), 0.5), 1.4)),
            forms=np.concatenate(odds),
            bends=0.035 * rng.standard_normal((count, BENDS, 2)),
        )

    def write(
        self, digits: npt.NDArray[np.int32], *, rng: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        """Writes each of ``digits`` once more, [n, SIDE, SIDE]."""
        form = self._forms_of(digits, rng)
        way = self._bent(form, rng)
        x, y = self._placed(way, rng)
        pressure = np.exp(0.12 * rng.standard_normal(len(digits)))
        ink = skeletons().steps[form] * self.height_px * pressure
        return self.pen.draw(x, y, ink=ink)

    def _forms_of(
        self, digits: npt.NDArray[np.int32], rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Chooses a way to write each digit."""
        first = skeletons().first
        # The odds of a digit's forms sum to 1, so those of all digits before it are its number.
        below = np.cumsum(self.forms)
        form = np.searchsorted(below, digits + rng.random(len(digits)), side="right")
        return np.clip(form, first[digits], first[digits + 1] - 1)

    def _bent(self, form: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """The skeletons as this hand bends them, [2, n, POINTS]."""
        bends = self.bends[form] + self.unrest * rng.standard_normal((len(form), BENDS, 2))
        way = np.moveaxis(skeletons().points[form], 2, 0).copy()
        for wave, amplitude in zip(_WAVES, np.moveaxis(bends, 1, 0), strict=True):
            way += amplitude.T[:, :, None] * wave
        return way

    def _placed(self, way: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Leans, turns, scales and puts the digits on the page; returns x and y in pixels."""
        restless = (self.unrest * rng.standard_normal((5, way.shape[1])))[:, :, None]
        height = self.height_px * (1 + 2 * restless[0])
        x = way[0] * (self.aspect * (1 + 2 * restless[1])) - way[1] * (self.slant + 3 * restless[2])
        y = way[1] + x * self.turn
        middle, (right, down) = (SIDE - 1) / 2, self.offset_px
        return (
            middle + right + height * (x + restless[3]),
            middle + down + height * (y + restless[4]),
        )


# The k-th wave is 1 / k as high, so that straight lines stay nearly straight.
_K = np.arange(1, BENDS + 1)[:, None]
_WAVES = np.cos(np.pi * _K * (np.arange(POINTS) + 0.5) / POINTS) / _K

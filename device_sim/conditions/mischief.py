"""Mischief: which phones break the rules, and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ...protocol.errors import ConfigError
from ..streams import Purpose, stream


class Mischief(StrEnum):
    """What one phone does wrong, in every session of its life.

    - ``duplicate``: sends report and update twice.
    - ``late``: waits twice its upload time-out before it uploads.
    - ``corrupt``: the body is damaged on its way, its digest is not.
    - ``truncated``: the connection ends in the middle of the body, each time.
    - ``wrong_clock``: its timers run a hundred times too fast, and it reports ages of training.
    - ``not_a_number``: its delta holds a NaN, announced like any other.
    - ``lie``: it claims as many examples as the plan allows, and owns fewer.
    - ``big_lie``: it claims one example more than the plan allows.
    - ``stolen_place``: it reports and uploads under another phone's assignment.
    """

    DUPLICATE = "duplicate"
    LATE = "late"
    CORRUPT = "corrupt"
    TRUNCATED = "truncated"
    WRONG_CLOCK = "wrong_clock"
    NOT_A_NUMBER = "not_a_number"
    LIE = "lie"
    BIG_LIE = "big_lie"
    STOLEN_PLACE = "stolen_place"


@dataclass(frozen=True)
class MischiefShares:
    """What share of the phones commits each kind of mischief; the others behave.

    Raises ConfigError unless each share lies between 0 and 1, and all of them together do.
    """

    duplicate: float = 0.0
    late: float = 0.0
    corrupt: float = 0.0
    truncated: float = 0.0
    wrong_clock: float = 0.0
    not_a_number: float = 0.0
    lie: float = 0.0
    big_lie: float = 0.0
    stolen_place: float = 0.0

    def __post_init__(self) -> None:
        shares = [self.of(kind) for kind in Mischief]
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise ConfigError("mischief", shares, "give shares that add up to 1 at most")

    def of(self, kind: Mischief) -> float:
        return float(getattr(self, kind.value))

    def of_phone(self, *, seed: int, device: int) -> Mischief | None:
        """What this phone does wrong, for life; None for one that behaves."""
        drawn = float(stream(seed, Purpose.MISCHIEF, device).random())
        for kind in Mischief:
            drawn -= self.of(kind)
            if drawn < 0:
                return kind
        return None

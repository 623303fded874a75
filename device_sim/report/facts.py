"""Facts: what a run was, beside its rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..following.tallies import Tallies
from ..ownership import Ownership
from .baselines import Baseline

Lines = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunFacts:
    """What a run was; ``details`` are lines for the reader, label and value.

    ``tallies`` are those of the fleet, ``seconds`` its clock at the end. With ``owned`` the report
    says which phones and which classes took part, by ``tier_of`` a phone where there are tiers.
    ``scenario`` is shown as it is, and ``say`` is told what could not be written.
    """

    title: str
    phones: int
    seed: int
    seconds: float
    tallies: Tallies = field(default_factory=Tallies)
    target: float | None = None
    details: Lines = ()
    baselines: tuple[Baseline, ...] = ()
    owned: Ownership | None = None
    tier_of: Callable[[int], str] = lambda _: ""
    scenario: str = ""
    say: Callable[[str], object] = lambda _: None

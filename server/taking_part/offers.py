"""Offers: which open round a device is offered first when several want it."""

from __future__ import annotations

from collections.abc import Iterable

from ...protocol.plan import RoundKind
from ..states.rounds import Round
from ..store import Task

Offer = tuple[Task, Round]


def in_fair_order(offers: Iterable[Offer]) -> list[Offer]:
    """Rounds that evaluate first, then the task that was given a place the longest ago.

    Of tasks that were given none the oldest comes first. So tasks take turns while they have free
    places, whatever their sizes, and none waits longer than for one turn of each of the others.
    """
    return sorted(offers, key=_precedence)


def _precedence(offer: Offer) -> tuple[bool, int, int]:
    task, round_ = offer
    return (round_.kind is not RoundKind.EVALUATE, task.last_turn, task.id)

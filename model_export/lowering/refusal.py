"""How lowering says no."""

from __future__ import annotations


class Refusal(Exception):
    """A lowering cannot take this op: why, and what to use instead."""

    def __init__(self, reason: str, *, advice: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


class NotLowered(Exception):
    """Ops of the program that no phone has and that cannot be lowered."""

    def __init__(self, op_types: tuple[str, ...], *, reason: str, advice: str = "") -> None:
        super().__init__(f"{', '.join(op_types)}: {reason}")
        self.op_types = op_types
        self.reason = reason
        self.advice = advice

"""Staleness: how much an update counts that was trained from an older version.

s(tau) = (1 + tau) ** -exponent after Nguyen et al. 2022 (FedBuff, arXiv 2106.06639).
"""

from __future__ import annotations

from decimal import Context, Decimal

# Far more digits than a float64 has, so that the float nearest to the true power comes out.
_EXACT = Context(prec=40)


def discount(staleness: int, *, exponent: float) -> float:
    """What an update counts that is ``staleness`` versions behind, in (0, 1].

    Computed in decimal: the last bit of a C library's ``pow`` depends on the machine, and an audit
    elsewhere must come to the same checkpoint.
    """
    return float(_EXACT.power(Decimal(1 + staleness), -Decimal(exponent)))

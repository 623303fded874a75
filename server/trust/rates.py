"""Rates: limits per device and per network, kept in the database for all processes."""

from __future__ import annotations

import ipaddress

from ...protocol.errors import RateLimited
from ..store import Writing
from .limits import Limit, spend

_PREFIX = {4: 24, 6: 48}


def require_rate(tx: Writing, sender: str, limit: Limit, *, now: float) -> None:
    """Takes one request from a sender's bucket; raises RateLimited when it is empty."""
    if not limit.is_set:
        return
    left, wait_s = spend(tx.bucket(sender), limit, now=now)
    if wait_s > 0:
        raise RateLimited(
            f"more than {limit.per_hour:g} requests of this kind per hour; wait {wait_s:.0f} s",
            retry_after_s=wait_s,
        )
    tx.keep_bucket(sender, left)


def network_of(address: str | None) -> str:
    """The network of an address, as wide as one household or office; empty when there is none."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    return str(ipaddress.ip_network(f"{parsed}/{_PREFIX[parsed.version]}", strict=False))

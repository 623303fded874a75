"""Memory: what phones keep between sessions, each by itself and a million of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ...protocol.messages import Device
from ..workers.jobs import Done

_LENGTHS = 4

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a phone keeps between sessions.

    ``drawn`` counts the waits it has drawn, ``held`` are SHA-256 of what it need not download
    again, ``forsaken`` is the assignment it fell silent in, and ``unsent`` what got no answer, with
    the assignment it was made for.
    """

    device: Device | None = None
    drawn: int = 0
    held: frozenset[str] = frozenset()
    forsaken: str | None = None
    unsent: tuple[str, Done] | None = None


NEW = Memory()


class Memories:
    """The memories of a fleet: 14 bytes a phone, and some 60 more once it is known to a server.

    What few phones have, such as a delta without an answer, is kept for those alone.
    """

    def __init__(self, phones: int) -> None:
        self._drawn = np.zeros(phones, np.uint32)
        self._holding = np.zeros(phones, np.uint16)
        self._holdings: list[frozenset[str]] = [frozenset()]
        self._identity_at = np.zeros(phones, np.int64)
        self._identities = bytearray(1)  # Nobody's lies at 0.
        self._forsaken: dict[int, str] = {}
        self._unsent: dict[int, tuple[str, Done]] = {}

    def __getitem__(self, device: int) -> Memory:
        return Memory(
            device=self._identity(device),
            drawn=int(self._drawn[device]),
            held=self._holdings[self._holding[device]],
            forsaken=self._forsaken.get(device),
            unsent=self._unsent.get(device),
        )

    def __setitem__(self, device: int, memory: Memory) -> None:
        self._drawn[device] = memory.drawn
        if memory.held not in self._holdings:
            self._holdings.append(memory.held)
        self._holding[device] = self._holdings.index(memory.held)
        if memory.device is not None:
            self._identify(device, memory.device)
        _keep(self._forsaken, device, memory.forsaken)
        _keep(self._unsent, device, memory.unsent)

    @property
    def held(self) -> frozenset[str]:
        """All that some phone need not download again."""
        return frozenset().union(*self._holdings)

    def _identity(self, device: int) -> Device | None:
        at = int(self._identity_at[device])
        if at == 0:
            return None
        device_id, after = _text(self._identities, at)
        token, _ = _text(self._identities, after)
        return Device(device_id=device_id, token=token)

    def _identify(self, device: int, identity: Device) -> None:
        """Writes over the older identity where it fits, as it does when only a token is new."""
        packed = _packed(identity.device_id) + _packed(identity.token)
        at = int(self._identity_at[device])
        if at:
            _, middle = _text(self._identities, at)
            _, end = _text(self._identities, middle)
            if end - at == len(packed):
                self._identities[at:end] = packed
                return
        self._identity_at[device] = len(self._identities)
        self._identities += packed


def _keep(kept: dict[int, _Value], device: int, value: _Value | None) -> None:
    if value is None:
        kept.pop(device, None)
    else:
        kept[device] = value


def _packed(text: str) -> bytes:
    """Length, kind and bytes; hexadecimal digits, of which ids and tokens consist, take half."""
    body = text.encode()
    is_hex = len(body) % 2 == 0 and not body.strip(b"0123456789abcdef")
    if is_hex:
        body = bytes.fromhex(text)
    return (2 * len(body) + is_hex).to_bytes(_LENGTHS) + body


def _text(packed: bytearray, at: int) -> tuple[str, int]:
    """The text that begins at an offset, and where it ends."""
    length, is_hex = divmod(int.from_bytes(packed[at : at + _LENGTHS]), 2)
    end = at + _LENGTHS + length
    body = bytes(packed[at + _LENGTHS : end])
    return body.hex() if is_hex else body.decode(), end

"""Falsifying: what an unruly phone makes of its report and its delta before it announces them."""

from __future__ import annotations

import math
import struct

import msgspec

from ...protocol import wire
from ...protocol.codecs.framing import FRAMES
from ...protocol.messages import Assignment, Outcome, Report
from ..conditions.mischief import Mischief

AGES_S = 1e11


def falsified(
    mischief: Mischief | None, assignment: Assignment, report: Report, body: bytes
) -> tuple[Report, bytes]:
    """What is announced and sent instead; the same for a phone that behaves, or that gives up."""
    if report.outcome is not Outcome.COMPLETED:
        return report, body
    if mischief is Mischief.LIE:
        return _claiming(report, assignment.plan.max_examples), body
    if mischief is Mischief.BIG_LIE:
        return _claiming(report, assignment.plan.max_examples + 1), body
    if mischief is Mischief.WRONG_CLOCK:
        return msgspec.structs.replace(report, train_s=AGES_S), body
    if mischief is Mischief.NOT_A_NUMBER and body:
        return _announcing(report, poisoned(body, assignment.codec))
    return report, body


def poisoned(body: bytes, codec: str) -> bytes:
    """The body with a NaN in the place of a number: its last float, or its first scale."""
    inner, _, frame = codec.partition("+")
    if not frame:
        return _with_nan(body, inner)
    content = b"".join(FRAMES[frame].pieces(body))
    return FRAMES[frame].compress(_with_nan(content, inner))


def _with_nan(body: bytes, codec: str) -> bytes:
    if codec in ("int8", "int4"):
        first = 8 + struct.unpack_from("<Q", body)[0]  # the scales come first
        return body[:first] + struct.pack("<f", math.nan) + body[first + 4 :]
    last = struct.pack("<e" if codec == "float16" else "<f", math.nan)
    return body[: -len(last)] + last


def _claiming(report: Report, num_examples: int) -> Report:
    return msgspec.structs.replace(report, num_examples=num_examples)


def _announcing(report: Report, body: bytes) -> tuple[Report, bytes]:
    told = msgspec.structs.replace(report, bytes=len(body), sha256=wire.sha256(body))
    return told, body

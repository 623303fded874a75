"""A million hostile inputs: every answer of a parser is a value or one of our errors."""

import random
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.codecs import ENCODINGS, codec_named
from pocketfed.protocol.errors import PocketFedError
from pocketfed.protocol.weights import Weights, WeightSpec

SPEC = WeightSpec.of({"a": (3,), "b": ()})
NAMES = [name.replace("topk", "topk:0.5") for name in ENCODINGS]
BITS = [b"\x00", b"\xff", b"\x7f", b"\x80", b"\x01"]
WORDS = [b"\x00" * 4, b"\xff" * 4, b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\x28\xb5\x2f\xfd"]
FIELDS = [wire.content_digest("ab" * 32), "sha-256=:AA==:", "md5=:AA==:, sha-256=::", ""]
INPUTS = 1_000_000

Parser = Callable[[bytes], object]


def mutated(body: bytes, rng: random.Random) -> bytes:
    """A body with one to three changes: bytes set, words set, cut, repeated, removed, swapped."""
    bad = bytearray(body)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(bad) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            bad[place : place + 1] = rng.choice(BITS)
        elif kind == 1:
            bad[place : place + 4] = rng.choice(WORDS)
        elif kind == 2:
            bad[place : place + 1] = rng.randbytes(1)
        elif kind == 3:
            del bad[place:]
        elif kind == 4:
            bad[place:place] = bad[place : place + rng.randrange(16)]
        else:
            del bad[place : place + rng.randrange(1, 8)]
    return bytes(bad)


def inputs(seed: bytes, rng: random.Random) -> Iterator[bytes]:
    """Mutations of a valid body, and noise of about its length now and then."""
    while True:
        if rng.randrange(16):
            yield mutated(seed, rng)
        else:
            yield rng.randbytes(rng.randrange(2 * len(seed) + 2))


def targets() -> list[tuple[bytes, Parser]]:
    """A valid input and a parser, for each codec and for the header fields.

    Framed codecs also get bodies whose content, not whose frame, is hostile.
    """
    delta = Weights(SPEC, np.array([0.5, -0.25, 0.0, 1.0], np.float32))
    found: list[tuple[bytes, Parser]] = []
    for name in NAMES:
        codec = codec_named(name)
        found.append((codec.encode(delta, None), lambda body, c=codec: c.decode(body, SPEC)))
    found.append((wire.encode(delta), lambda body: wire.decode(body, SPEC)))
    for field in FIELDS:
        parse: Parser = lambda raw: wire.parse_content_digest(raw.decode("latin-1"))  # noqa: E731
        found.append((field.encode(), parse))
    found.append((b"topk:0.01+zstd", lambda raw: codec_named(raw.decode("latin-1"))))
    return found


@pytest.mark.slow
def test_a_million_hostile_inputs_meet_no_unexpected_error() -> None:
    answers: Counter[str] = Counter()
    unexpected: list[str] = []
    everything = targets()
    rng = random.Random(2026)
    for seed, parse in everything:
        sources = inputs(seed, rng)
        for _ in range(INPUTS // len(everything) + 1):
            body = next(sources)
            try:
                parse(body)
            except PocketFedError as error:
                answers[error.code] += 1
            except Exception as error:
                unexpected.append(f"{type(error).__name__} from {body!r}")
            else:
                answers["a value"] += 1
    assert unexpected == []
    assert sum(answers.values()) >= INPUTS
    wanted = {"a value", "spec_mismatch", "invalid_encoding", "non_finite_delta", "truncated_body"}
    assert wanted <= set(answers)

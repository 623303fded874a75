"""Codecs keep zero, err within their bounds, and refuse bodies they never make."""

import math
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pocketfed.protocol.codecs import ENCODINGS, agreed, codec_named
from pocketfed.protocol.errors import (
    InvalidEncoding,
    MalformedPayload,
    NonFiniteDelta,
    PayloadTooLarge,
    ProtocolError,
    SpecMismatch,
    UnknownCodec,
)
from pocketfed.protocol.plan import RoundSettings
from pocketfed.protocol.weights import Weights, WeightSpec

SPEC = WeightSpec.of({"kernel": (5, 3), "bias": (4,), "nothing": (0, 2), "scale": ()})
NAMES = [name.replace("topk", "topk:0.3") for name in ENCODINGS]
INTEGERS = {"int8": 127, "int4": 7}
DELTAS = arrays(
    np.float32,
    SPEC.size,
    elements=st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(-1, 1, width=32),
)
FEW = settings(max_examples=40, deadline=None)
SEEDS = st.none() | st.integers(0, 2**32)


def encoded(name: str, vector: np.ndarray, seed: int | None = None) -> bytes:
    rng = None if seed is None else np.random.default_rng(seed)
    return codec_named(name).encode(Weights(SPEC, vector), rng)


def through(name: str, vector: np.ndarray, seed: int | None = None) -> np.ndarray:
    return codec_named(name).decode(encoded(name, vector, seed), SPEC)


def steps_of(vector: np.ndarray, largest: int) -> np.ndarray:
    """The distance of two neighbouring values around each element."""
    peaks = [np.abs(vector[e.offset : e.offset + e.size]).max(initial=0) for e in SPEC.entries]
    scales = np.array(peaks, np.float64) / largest
    return np.repeat(scales, [entry.size for entry in SPEC.entries])


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(vector=DELTAS, seed=SEEDS)
def test_zero_stays_zero(name: str, vector: np.ndarray, seed: int | None) -> None:
    decoded = through(name, vector, seed)
    assert not decoded[vector == 0].any()


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("float32")])
@FEW
@given(vector=DELTAS)
def test_float32_loses_nothing(name: str, vector: np.ndarray) -> None:
    assert through(name, vector).tobytes() == vector.tobytes()


@FEW
@given(vector=DELTAS)
def test_float16_errs_by_half_a_unit_of_its_eleven_bits(vector: np.ndarray) -> None:
    wanted = np.clip(vector, -65504, 65504)
    bound = np.maximum(np.abs(wanted) * 2.0**-11, 2.0**-25)
    assert (np.abs(through("float16", vector) - wanted) <= bound).all()


@pytest.mark.parametrize("name", INTEGERS)
@FEW
@given(vector=DELTAS, seed=SEEDS)
def test_integers_err_by_less_than_a_step(name: str, vector: np.ndarray, seed: int | None) -> None:
    steps = steps_of(vector, INTEGERS[name])
    error = np.abs(through(name, vector, seed).astype(np.float64) - vector)
    bound = steps * (0.5 if seed is None else 1.0) * (1 + 1e-5)
    assert (error <= bound + INTEGERS[name] * 2.0**-126).all()


@pytest.mark.parametrize("name", INTEGERS)
def test_random_rounding_has_no_bias(name: str) -> None:
    vector = np.random.default_rng(3).standard_normal(SPEC.size).astype(np.float32)
    rng, codec = np.random.default_rng(4), codec_named(name)
    weights = Weights(SPEC, vector)
    draws = 4000
    total = np.zeros(SPEC.size)
    for _ in range(draws):
        total += codec.decode(codec.encode(weights, rng), SPEC)
    # A rounding to one of two neighbours deviates by half a step at most; five sigma of the mean.
    bound = 5 * 0.5 * steps_of(vector, INTEGERS[name]) / math.sqrt(draws)
    assert (np.abs(total / draws - vector) <= bound + 1e-6).all()


@pytest.mark.parametrize("name", INTEGERS)
def test_rounding_to_nearest_would_have_a_bias(name: str) -> None:
    vector = np.zeros(SPEC.size, np.float32)
    vector[:2] = 1.0, 0.3 / INTEGERS[name]
    assert through(name, vector)[1] == 0.0


@pytest.mark.parametrize("name", INTEGERS)
def test_a_tensor_of_tiny_numbers_becomes_zero(name: str) -> None:
    assert not through(name, np.full(SPEC.size, 1e-40, np.float32)).any()


@FEW
@given(vector=DELTAS)
def test_topk_keeps_the_largest_and_nothing_else(vector: np.ndarray) -> None:
    kept = math.ceil(0.3 * SPEC.size)
    decoded = through("topk:0.3", vector)
    is_kept = decoded != 0
    assert is_kept.sum() <= kept
    assert (decoded[is_kept] == vector[is_kept]).all()
    np.testing.assert_array_equal(np.sort(np.abs(decoded))[-kept:], np.sort(np.abs(vector))[-kept:])


def test_topk_counts_with_the_exact_decimal() -> None:
    spec = WeightSpec.of({"a": (100,)})
    header = 8 + int.from_bytes(codec_named("topk:0.07").encode(spec.zeros(), None)[:8], "little")
    assert codec_named("topk:0.07").max_bytes(spec) == header + 7 * 8


def test_of_equal_elements_topk_keeps_the_first() -> None:
    decoded = through("topk:0.3", np.ones(SPEC.size, np.float32))
    assert np.flatnonzero(decoded).tolist() == list(range(6))


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(vector=DELTAS, seed=SEEDS)
def test_no_body_is_longer_than_its_codec_says(
    name: str, vector: np.ndarray, seed: int | None
) -> None:
    codec, body = codec_named(name), encoded(name, vector, seed)
    most = codec.max_bytes(SPEC)
    assert len(body) == most if codec.is_exact else len(body) <= most


@pytest.mark.parametrize("name", ["float32+zlib", "float32+zstd"])
def test_a_frame_of_noise_is_no_longer_than_its_codec_says(name: str) -> None:
    spec = WeightSpec.of({"a": (500_000,)})
    noise = np.random.default_rng(0).integers(1 << 23, 0x7F000000, spec.size, np.uint32)
    body = codec_named(name).encode(Weights(spec, noise.view(np.float32)), None)
    assert len(body) <= codec_named(name).max_bytes(spec)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_stream_gives_the_same_body(name: str) -> None:
    vector = np.linspace(-1, 1, SPEC.size, dtype=np.float32)
    assert encoded(name, vector, 7) == encoded(name, vector, 7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_delta_that_is_not_finite_is_not_encoded(name: str, bad: float) -> None:
    vector = np.zeros(SPEC.size, np.float32)
    vector[3] = bad
    with pytest.raises(NonFiniteDelta, match="element 3"):
        encoded(name, vector)


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(noise=st.binary(max_size=600))
def test_noise_is_refused_by_every_codec(name: str, noise: bytes) -> None:
    with pytest.raises(ProtocolError):
        codec_named(name).decode(noise, SPEC)


@pytest.mark.parametrize(("name", "lowest", "below"), [("int8", 0x81, 0x80), ("int4", 0x9F, 0x8F)])
def test_an_integer_beyond_the_largest_is_refused(name: str, lowest: int, below: int) -> None:
    """Two's complement reaches one further down than up; int4 has its last in a high half."""
    spec = WeightSpec.of({"bias": (4,)})
    body = bytearray(codec_named(name).encode(Weights(spec, np.ones(4, np.float32)), None))
    body[-1] = lowest
    assert codec_named(name).decode(bytes(body), spec)[-1] == -1.0
    body[-1] = below
    with pytest.raises(InvalidEncoding, match=f"{name} goes from"):
        codec_named(name).decode(bytes(body), spec)


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(places=st.lists(st.integers(0, 10_000), min_size=1, max_size=4), value=st.integers(0, 255))
def test_a_damaged_body_is_a_delta_or_a_protocol_error(
    name: str, places: list[int], value: int
) -> None:
    body = bytearray(encoded(name, np.linspace(-1, 1, SPEC.size, dtype=np.float32)))
    for place in places:
        body[place % len(body)] = value
    try:
        decoded = codec_named(name).decode(bytes(body), SPEC)
    except ProtocolError:
        return
    assert np.isfinite(decoded).all()


@pytest.mark.parametrize(
    "compress",
    [lambda bomb: zlib.compress(bomb, 9), zstd.compress],
    ids=["zlib", "zstd"],
)
def test_a_bomb_takes_no_more_memory_than_the_delta(compress: Callable[[bytes], bytes]) -> None:
    name = "int8+zlib" if compress is not zstd.compress else "int8+zstd"
    spec = WeightSpec.of({"a": (1_000_000,)})
    bomb = compress(bytes(200_000_000))
    codec = codec_named(name)
    assert len(bomb) < codec.max_bytes(spec)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge, match="holds more than"):
            codec.decode(bomb, spec)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < codec_named("int8").max_bytes(spec) + 500_000


@pytest.mark.parametrize("name", ["int8+zlib", "int8+zstd"])
def test_a_frame_of_many_pieces_is_opened_whole(name: str) -> None:
    spec = WeightSpec.of({"a": (300_000,)})
    vector = np.random.default_rng(0).standard_normal(spec.size).astype(np.float32)
    decoded = codec_named(name).decode(codec_named(name).encode(Weights(spec, vector), None), spec)
    np.testing.assert_allclose(decoded, vector, atol=0.03)


def test_a_wide_window_is_refused_before_it_is_allocated() -> None:
    stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 24})
    frame = stream.compress(encoded("int8", np.zeros(SPEC.size, np.float32))) + stream.flush()
    with pytest.raises(InvalidEncoding, match="zstd frame"):
        codec_named("int8+zstd").decode(frame, SPEC)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "int16",
        "INT8",
        "int8 ",
        "int8\n",
        "int8+gzip",
        "int8+zlib+zlib",
        "zlib",
        "topk",
        "topk:0",
        "topk:0.10",
        "topk:1",
        "topk:.1",
        "topk:0.0000001",
        "topk:1e-2",
        "topk:0.٥",
    ],
)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(UnknownCodec, match="expected float32, float16, int8, int4 or topk"):
        codec_named(name)


def test_the_first_codec_of_the_task_that_the_device_has_is_agreed() -> None:
    preferred = ("int4+zstd", "int8+zlib", "float32")
    assert agreed(preferred, {"float32", "int8+zlib", "int8"}) == "int8+zlib"
    assert agreed(preferred, ("int8", "float16")) is None


def test_a_family_stands_for_every_fraction() -> None:
    assert agreed(("topk:0.01+zlib",), ("topk+zlib",)) == "topk:0.01+zlib"
    assert agreed(("topk:0.01",), ("topk+zlib", "topk:0.02")) is None


def test_a_device_that_has_every_encoding_can_serve_every_codec() -> None:
    assert [agreed((name,), ENCODINGS) for name in NAMES] == NAMES


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_a_tensor_named_like_the_scales_cannot_be_encoded(name: str) -> None:
    with pytest.raises(SpecMismatch, match="__scales__"):
        codec_named(name).max_bytes(WeightSpec.of({"__scales__": (1,)}))


def test_round_settings_name_only_known_codecs() -> None:
    with pytest.raises(UnknownCodec, match="no codec 'jpeg'"):
        RoundSettings.from_json(b'{"codecs": ["float32", "jpeg"]}')


def test_round_settings_name_at_least_one_codec() -> None:
    with pytest.raises(MalformedPayload, match=r"RoundSettings.codecs"):
        RoundSettings.from_json(b'{"codecs": []}')

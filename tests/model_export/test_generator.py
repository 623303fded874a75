"""The random numbers of a step: what they are, and that they behave as if they were random."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from pocketfed.model_export.converting.converter import converted
from pocketfed.model_export.lowering import generator
from pocketfed.model_export.proving.lint import lint
from pocketfed.runtime import Runtime, quietly

SEEDS = (0, 1, -1, 2**31 - 1, -(2**31), 123_456_789)
# A chi-square statistic strays so far by chance once in about 300 000 tests.
FAR = 5.0


def int32(number: int) -> np.int32:
    return np.int32((number + 2**31) % 2**32 - 2**31)


def mixed(x: np.ndarray, rounds: int) -> np.ndarray:
    for whole, half in generator.ROUNDS[:rounds]:
        upper = (x.astype(np.float32) * np.float32(2**-16)).astype(np.int32)
        x = (x + int32(whole)) * (upper + int32(half))
    return x


def numbers(
    seed: int, *, draw: int = 0, rows: int = 64, columns: int = 512, rounds: int = 3
) -> np.ndarray:
    """The generator in NumPy: a hash of seed, draw, row and line, then one of the column."""
    size = next(s for s in range(1, columns + 1) if s * s >= columns and columns % s == 0)
    row, line, column = np.ogrid[:rows, : columns // size, :size]
    with np.errstate(over="ignore"):
        by_line = (
            int32(seed * generator.PER_SEED + draw * generator.PER_DRAW)
            + row.astype(np.int32) * int32(generator.PER_ROW)
            + line.astype(np.int32) * int32(generator.PER_LINE)
        )
        by_column = column.astype(np.int32) * int32(generator.PER_COLUMN)
        hashed = mixed(mixed(by_line, rounds) + by_column, rounds)
    unit = hashed.astype(np.float32) * np.float32(2**-32) + np.float32(0.5)
    return np.minimum(unit, np.float32(1 - 2**-24)).reshape(rows, columns)


def on_phone(source, **options: object) -> bytes:
    """A model that only draws numbers from its input ``seed``."""
    function = tf.function(
        lambda seed: {"numbers": source(seed, **options)},
        input_signature=[tf.TensorSpec((), tf.int32, name="seed")],
        autograph=False,
    )
    with quietly():
        return converted(tf.Module(), {"draw": function.get_concrete_function()})


def drawn(runtime: Runtime, seed: int) -> np.ndarray:
    return runtime.call("draw", {"seed": np.int32(seed)})["numbers"]


@pytest.mark.parametrize(("rows", "columns"), [(10, 512), (4, 7), (3, 1), (1, 60)])
def test_the_phone_draws_the_numbers_of_the_reference_to_the_bit(rows: int, columns: int) -> None:
    model = on_phone(generator.uniform, draw=3, rows=rows, columns=columns)
    for num_threads in (1, 4):
        runtime = Runtime(model, num_threads=num_threads)
        for seed in SEEDS:
            wanted = numbers(seed, draw=3, rows=rows, columns=columns)
            np.testing.assert_array_equal(drawn(runtime, seed), wanted)


def test_the_generator_needs_no_newer_runtime_than_variables_do() -> None:
    found = lint(on_phone(generator.normal, draw=0, rows=10, columns=512))
    assert tuple(map(int, found.minimum_runtime.split("."))) <= (2, 6, 0)
    assert found.custom_ops == ()


def test_tensorflow_draws_the_same_for_an_open_number_of_rows() -> None:
    function = tf.function(
        lambda seed, x: generator.uniform(seed, draw=2, rows=tf.shape(x)[0], columns=6),
        input_signature=[tf.TensorSpec((), tf.int32), tf.TensorSpec((None, 6))],
    )
    got = function(np.int32(-9), np.zeros((5, 6), np.float32))
    np.testing.assert_array_equal(got, numbers(-9, draw=2, rows=8, columns=6)[:5])


def test_normal_numbers_have_the_moments_and_the_tails_of_the_normal_distribution() -> None:
    runtime = Runtime(on_phone(generator.normal, draw=5, rows=100, columns=400))
    values = np.stack([drawn(runtime, seed) for seed in range(25)]).astype(np.float64)
    count = values.size
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = np.mean(values**power) - moment
        assert abs(error) < FAR * math.sqrt(variance / count), power
    for limit in (1, 2, 3, 4):
        share = math.erfc(limit / math.sqrt(2))
        error = np.mean(np.abs(values) > limit) - share
        assert abs(error) < FAR * math.sqrt(share / count), limit


def strayed(cells: np.ndarray, expected: np.ndarray | float) -> float:
    """How many standard deviations a chi-square statistic lies from its mean."""
    statistic = np.sum((cells - expected) ** 2 / expected)
    freedom = cells.size - 1
    return float((statistic - freedom) / math.sqrt(2 * freedom))


def strayed_evenly(cells: np.ndarray) -> float:
    return strayed(cells, cells.sum() / cells.size)


def joint(left: np.ndarray, right: np.ndarray) -> float:
    """Whether two streams fill the unit square evenly."""
    cells = (left * 32).astype(int) * 32 + (right * 32).astype(int)
    return strayed_evenly(np.bincount(cells.ravel(), minlength=1024))


def difference(left: np.ndarray, right: np.ndarray) -> float:
    """Whether differences are spread evenly; those of a linear hash take few values."""
    cells = ((left - right) % 1 * 256).astype(int) % 256
    return strayed_evenly(np.bincount(cells.ravel(), minlength=256))


def many(rounds: int = 3) -> np.ndarray:
    """Numbers of consecutive seeds and draws: [seed, draw, row, column]."""
    every = [[numbers(seed, draw=draw, rounds=rounds) for draw in (0, 1)] for seed in range(20)]
    return np.array(every)


def neighbours(stream: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of numbers whose places are next to each other in some sense; a line has 32 columns."""
    lags = {f"{lag} columns": (stream[..., :-lag], stream[..., lag:]) for lag in (1, 2, 31, 32, 33)}
    return {
        **lags,
        "rows": (stream[:, :, 1:], stream[:, :, :-1]),
        "draws": (stream[:, 0], stream[:, 1]),
        "seeds": (stream[1:], stream[:-1]),
        "a seed and a row": (stream[1:, :, :-1], stream[:-1, :, 1:]),
    }


@pytest.fixture(scope="module")
def stream() -> np.ndarray:
    return many()


def test_numbers_are_uniform_and_below_one(stream: np.ndarray) -> None:
    assert stream.min() >= 0
    assert stream.max() < 1
    assert abs(strayed_evenly(np.bincount((stream * 4096).astype(int).ravel()))) < FAR
    low = (stream * 2**12 % 1 * 256).astype(int)
    assert abs(strayed_evenly(np.bincount(low.ravel()))) < FAR


def test_neighbouring_numbers_are_independent(stream: np.ndarray) -> None:
    for name, pair in neighbours(stream).items():
        assert abs(joint(*pair)) < FAR, name
        assert abs(difference(*pair)) < FAR, name


def test_curvature_of_three_neighbours_is_spread_evenly(stream: np.ndarray) -> None:
    bend = (stream[..., :-2] - 2 * stream[..., 1:-1] + stream[..., 2:]) % 1
    assert abs(strayed_evenly(np.bincount((bend * 256).astype(int).ravel() % 256))) < FAR


def test_these_tests_find_a_hash_of_a_single_round() -> None:
    weak = many(rounds=1)
    bend = (weak[..., :-2] - 2 * weak[..., 1:-1] + weak[..., 2:]) % 1
    assert strayed_evenly(np.bincount((bend * 256).astype(int).ravel() % 256)) > 100


@pytest.mark.parametrize("side", [0, 2, 3], ids=["seeds", "rows", "columns"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_kept_units_spread_like_coin_flips(stream: np.ndarray, side: int, rate: float) -> None:
    kept = stream >= np.float32(rate)
    assert abs(kept.mean() - (1 - rate)) < FAR * math.sqrt(rate * (1 - rate) / kept.size)
    counts = kept.sum(axis=side)
    ratio = counts.var() / (kept.shape[side] * rate * (1 - rate))
    assert abs(ratio - 1) < FAR * math.sqrt(2 / counts.size)


def test_runs_of_eight_units_are_as_frequent_as_coin_flips(stream: np.ndarray) -> None:
    bits = (stream < np.float32(0.3)).reshape(-1, 8)
    found = np.bincount(bits @ (1 << np.arange(8)), minlength=256)
    ones = np.array([number.bit_count() for number in range(256)])
    assert abs(strayed(found, 0.3**ones * 0.7 ** (8 - ones) * len(bits))) < FAR


def test_every_bit_of_the_seed_changes_half_of_a_mask() -> None:
    seeds, size = range(0, 4000, 50), 4 * 16
    for bit in range(32):
        changed = [
            (numbers(seed, rows=4, columns=16) < 0.5)
            != (numbers(seed ^ 1 << bit, rows=4, columns=16) < 0.5)
            for seed in seeds
        ]
        assert abs(np.mean(changed) - 0.5) < FAR * 0.5 / math.sqrt(len(seeds) * size), bit

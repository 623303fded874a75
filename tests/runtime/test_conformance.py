"""Both of LiteRT's runtimes do what a phone relies on, and do the same."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from pocketfed.model_export.proving.lint import lint
from pocketfed.model_export.reading.inspection import float_variables
from pocketfed.protocol.errors import DamagedArtifact
from pocketfed.runtime import CompiledRuntime, Model, Runtime

STEPS, WORDS = 20, 30
Batch = dict[str, np.ndarray]
OPEN_AND_TRAIN = """
import sys
from pathlib import Path
from pocketfed import runtime
model = getattr(runtime, sys.argv[1])(Path(sys.argv[2]).read_bytes())
print(model.weights.size)
"""


@pytest.fixture(scope="module")
def steps() -> list[Batch]:
    """Three train batches for the hard model."""
    rng = np.random.default_rng(0)
    return [
        {
            "x_tokens": rng.integers(0, WORDS, (4, STEPS)).astype(np.int32),
            "x_scalars": rng.normal(size=(4, 3)).astype(np.float32),
            "y_kind": rng.integers(0, 3, 4).astype(np.int32),
            "y_size": rng.normal(size=(4, 1)).astype(np.float32),
            "weight": np.array([1, 1, 1, 0], np.float32),
            "learning_rate": np.array(0.1, np.float32),
            "seed": np.array(index - 1, np.int32),
        }
        for index in range(3)
    ]


@pytest.fixture(scope="module")
def first_weights(hard_model: keras.Model) -> np.ndarray:
    return np.concatenate([np.ravel(variable) for variable in float_variables(hard_model)])


def memory_kib() -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def test_the_hard_model_is_hard(hard: bytes) -> None:
    assert {"WHILE", "FILL", "GATHER", "CALL_ONCE"} <= lint(hard).ops.keys()
    signatures = Runtime(hard).signatures()
    assert {"seed", "x_tokens", "x_scalars"} <= set(signatures["train"]["inputs"])
    assert "reset_optimizer" in signatures


def test_the_first_weights_are_those_of_the_file(
    kind: type[Model], hard: bytes, first_weights: np.ndarray
) -> None:
    np.testing.assert_array_equal(kind(hard).weights, first_weights)


def test_weights_come_back_to_the_bit(
    kind: type[Model], hard: bytes, first_weights: np.ndarray
) -> None:
    model, size = kind(hard), first_weights.size
    drawn = np.random.default_rng(0).normal(size=size).astype(np.float32)
    drawn[:3] = [0.0, -0.0, np.float32(1e-40)]
    model.weights = drawn
    assert model.weights.tobytes() == drawn.tobytes()


def test_training_lowers_the_loss(kind: type[Model], hard: bytes, steps: list[Batch]) -> None:
    model = kind(hard)
    losses = [model.train(steps[0]) for _ in range(10)]
    assert losses[-1] < 0.9 * losses[0]


def test_infer_loops_over_time_and_gives_each_output_its_name(
    kind: type[Model], hard: bytes, hard_model: keras.Model
) -> None:
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, WORDS, (5, STEPS)).astype(np.int32)
    scalars = rng.normal(size=(5, 3)).astype(np.float32)
    found = kind(hard).call("infer", {"x_tokens": tokens, "x_scalars": scalars})
    wanted = hard_model([tokens, scalars], training=False)
    assert found.keys() == {"outputs_kind", "outputs_size"}
    np.testing.assert_allclose(found["outputs_kind"], wanted[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["outputs_size"], wanted[1], rtol=1e-5, atol=1e-6)


def test_evaluate_gives_every_sum_even_when_two_are_the_same(
    kind: type[Model], hard: bytes, steps: list[Batch]
) -> None:
    inputs = {
        name: np.concatenate([array, array[:1]]) for name, array in steps[0].items() if array.ndim
    }
    sums = kind(hard).call("evaluate", {**inputs, "weight": np.ones(5, np.float32)})
    assert sums.keys() == {
        "loss_sum", "weight_sum", "correct_sum", "correct_sum_kind", "correct_sum_size",
    }  # fmt: skip
    assert sums["correct_sum"] == sums["correct_sum_kind"]
    assert (sums["weight_sum"], sums["correct_sum_size"]) == (5, 0)


def test_both_runtimes_know_the_signatures_by_the_same_names(hard: bytes) -> None:
    known = [
        {name: {side: sorted(names) for side, names in sides.items()} for name, sides in both}
        for both in (kind(hard).signatures().items() for kind in (Runtime, CompiledRuntime))
    ]
    assert known[0] == known[1]


def test_a_seed_repeats_a_step_and_another_one_does_not(
    kind: type[Model], hard: bytes, steps: list[Batch]
) -> None:
    def trained(seed: int) -> bytes:
        model = kind(hard)
        model.train({**steps[0], "seed": np.int32(seed)})
        return model.weights.tobytes()

    assert trained(1) == trained(1)
    assert trained(1) != trained(2)


def test_a_reset_forgets_what_earlier_steps_left_behind(
    kind: type[Model], hard: bytes, first_weights: np.ndarray, steps: list[Batch]
) -> None:
    model = kind(hard)
    model.train(steps[0])
    once = model.weights
    model.weights = first_weights
    model.train(steps[0])
    assert not np.array_equal(model.weights, once)
    model.weights = first_weights
    model.reset_optimizer()
    model.train(steps[0])
    np.testing.assert_array_equal(model.weights, once)


def test_two_models_of_one_file_share_no_weights(
    kind: type[Model], hard: bytes, first_weights: np.ndarray, steps: list[Batch]
) -> None:
    trained, other = kind(hard), kind(hard)
    trained.train(steps[0])
    assert not np.array_equal(trained.weights, first_weights)
    np.testing.assert_array_equal(other.weights, first_weights)


def test_outputs_are_the_callers_own(
    kind: type[Model], hard: bytes, first_weights: np.ndarray
) -> None:
    model = kind(hard)
    first = model.call("get_weights", {})["weights"]
    model.weights = np.zeros_like(first)
    np.testing.assert_array_equal(first, first_weights)
    first[:] = 1
    assert not model.weights.any()


def test_any_number_of_threads_takes_the_same_step(
    kind: type[Model], hard: bytes, steps: list[Batch]
) -> None:
    def trained(num_threads: int) -> bytes:
        model = kind(hard, num_threads=num_threads)
        model.train(steps[0])
        return model.weights.tobytes()

    assert trained(1) == trained(2) == trained(4)


def test_both_runtimes_take_the_same_steps_to_the_bit(hard: bytes, steps: list[Batch]) -> None:
    models = [Runtime(hard), CompiledRuntime(hard)]
    for inputs in steps:
        assert len({model.train(inputs) for model in models}) == 1
    np.testing.assert_array_equal(models[0].weights, models[1].weights)


def test_strided_inputs_are_read_in_their_own_order(
    kind: type[Model], hard: bytes, steps: list[Batch]
) -> None:
    inputs = steps[0]
    strided = {
        name: np.asfortranarray(np.repeat(array, 2, axis=0))[::2] if array.ndim else array
        for name, array in inputs.items()
    }
    assert kind(hard).train(strided) == kind(hard).train(inputs)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.float32, np.bool_])
def test_every_kind_of_number_goes_in_and_out(
    kind: type[Model], dtype: type, compiled: Callable[..., bytes]
) -> None:
    def swap(a: tf.Tensor, b: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"a": tf.identity(b), "b": tf.reverse(a, [0])}

    spec = [tf.TensorSpec((3,), dtype, name=name) for name in "ab"]
    a, b = np.array([1, 0, 1], dtype), np.array([0, 0, 1], dtype)
    found = kind(compiled(swap, *spec)).call("run", {"a": a, "b": b})
    assert {name: (array.dtype, array.tolist()) for name, array in found.items()} == {
        "a": (dtype, b.tolist()),
        "b": (dtype, a[::-1].tolist()),
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda inputs: inputs.pop("weight"), "inputs"),
        (lambda inputs: inputs.update(extra=np.zeros(4, np.float32)), "inputs"),
        (lambda inputs: inputs.update(weight=np.ones(4)), "(?:float64|FLOAT64)"),
        (lambda inputs: inputs.update(weight=np.ones((2, 4), np.float32)), ""),
    ],
    ids=["missing", "unknown", "of another kind", "of another shape"],
)
def test_an_input_that_does_not_fit_is_refused(
    change: Callable[[dict], object],
    reason: str,
    kind: type[Model],
    hard: bytes,
    steps: list[Batch],
) -> None:
    inputs = dict(steps[0])
    change(inputs)
    with pytest.raises(DamagedArtifact, match=f"train cannot run: .*{reason}"):
        kind(hard).train(inputs)


def test_a_signature_the_model_lacks_is_refused(kind: type[Model], hard: bytes) -> None:
    with pytest.raises(DamagedArtifact, match="fly cannot run"):
        kind(hard).call("fly", {})


@pytest.mark.parametrize("length", [0, 7, 500])
def test_a_file_that_is_no_model_is_refused(length: int, kind: type[Model], hard: bytes) -> None:
    with pytest.raises(DamagedArtifact, match="the runtime cannot open the model"):
        kind(hard[:length])


def test_models_that_are_gone_leave_no_memory_behind(
    kind: type[Model], hard: bytes, steps: list[Batch]
) -> None:
    def open_and_train(times: int) -> int:
        for _ in range(times):
            kind(hard).train(steps[0])
        gc.collect()
        return memory_kib()

    before = open_and_train(20)
    assert open_and_train(40) - before < 40 * len(hard) / 1024 / 4


def test_a_process_says_nothing_of_the_runtime_even_at_its_end(
    kind: type[Model], hard: bytes, first_weights: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(hard)
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_TRAIN, kind.__name__, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"{first_weights.size}\n", "")

"""Every layer and option of ``cases.py``: converted, and trained beside Keras on LiteRT."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from pocketfed.model_export.converting.convert import convert
from pocketfed.model_export.proving.drawing import golden_of
from pocketfed.model_export.proving.lint import lint
from pocketfed.model_export.reading.inspection import require_exportable, require_trainable
from pocketfed.model_export.training.losses import KINDS, loss_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Trainee, trace
from pocketfed.runtime import Runtime, quietly

BATCH, STEPS, RATE = 4, 10, 0.05
# Layers that are exported side by side; one export each would mostly be the same work again.
TOGETHER = 6
PAGE = Path(__file__, "../../../docs/layers.md").resolve()
FAST_RANDOM = ("Dropout()", "GaussianNoise()")
FAST = ("SeparableConv1D()", "RepeatVector()", "BatchNormalization()")
FAST_LOSSES = (
    "sparse_categorical_crossentropy(from_logits=True) one per time step",
    "binary_crossentropy(label_smoothing=0.1) 0 or 1 for each output",
    "mean_absolute_error() numbers",
    "huber(delta=0.5) numbers",
)


def load_cases() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cases", Path(__file__).with_name("cases.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = load_cases()
loss_cases = cases.beside("loss_cases")


def grouped(every: Sequence[Any], fast: Sequence[str]) -> Iterator[Any]:
    """The fast cases one by one, the others in groups that take the same inputs."""
    yield from (pytest.param([case], id=str(case)) for case in every if str(case) in fast)
    others = sorted((c for c in every if str(c) not in fast), key=lambda case: case.shape)
    for _, alike in groupby(others, lambda case: case.shape):
        while group := tuple(islice(alike, TOGETHER)):
            yield pytest.param(group, id=" ".join(map(str, group)), marks=pytest.mark.slow)


def built(group: Sequence[Any]) -> keras.Model:
    """The models of the cases side by side, their logits added up."""
    models = [case.build() for case in group]
    if len(models) == 1:
        return models[0]
    (first, *_) = models[0].inputs
    x = keras.Input(first.shape[1:], dtype=first.dtype)
    return keras.Model(x, keras.layers.Add()([model(x) for model in models]))


SWEEP = list(grouped(cases.CASES, FAST))
RANDOM = list(grouped(cases.RANDOM, FAST_RANDOM))
LOSSES = [
    pytest.param(case, id=str(case), marks=[] if str(case) in FAST_LOSSES else pytest.mark.slow)
    for case in loss_cases.LOSSES
]


def exported(model: keras.Model, loss: keras.losses.Loss) -> tuple[Runtime, Trainee]:
    """What the export makes of a model, up to the signatures that are called here and the first."""
    require_exportable(model)
    require_trainable(model)
    trainee = Trainee(model, loss_of(loss), optimizer_of("sgd"), BATCH, BATCH)
    with quietly():
        program = trace(trainee)
    called = ("evaluate", "train", "infer", "get_weights")
    functions = {name: program.functions[name] for name in called}
    tflite = convert(replace(program, functions=functions))
    lint(tflite).require(weights_bytes=4 * sum(int(np.prod(v.shape)) for v in model.variables))
    return Runtime(tflite), trainee


def draw_inputs(model: keras.Model, rng: np.random.Generator) -> np.ndarray:
    shape = (BATCH, *model.inputs[0].shape[1:])
    if model.inputs[0].dtype == "int32":
        return rng.integers(0, cases.VOCABULARY, shape).astype(np.int32)
    return rng.normal(size=shape).astype(np.float32)


def draw_labels(loss: keras.losses.Loss, shape: tuple[int, ...], rng: np.random.Generator):
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        return rng.integers(0, shape[-1], (BATCH, *shape[:-1])).astype(np.int32)
    if isinstance(loss, keras.losses.CategoricalCrossentropy):
        return np.eye(shape[-1], dtype=np.float32)[rng.integers(0, shape[-1], BATCH)]
    if isinstance(loss, keras.losses.BinaryCrossentropy):
        return rng.integers(0, 2, (BATCH, *shape)).astype(np.float32)
    return rng.normal(size=(BATCH, *shape)).astype(np.float32)


def require_parity(model: keras.Model, loss: keras.losses.Loss) -> None:
    """Ten batches, every other one with an example of padding; then an inference."""
    (runtime, trainee), rng = exported(model, loss), np.random.default_rng(7)
    model.compile(optimizer=keras.optimizers.SGD(RATE), loss=loss, run_eagerly=True)
    inputs = {}
    for step in range(STEPS):
        real = BATCH - step % 2
        x = draw_inputs(model, rng)
        y = draw_labels(loss, tuple(model.outputs[0].shape[1:]), rng)
        weight = (np.arange(BATCH) < real).astype(np.float32)
        inputs = {"x": x, "y": y, "weight": weight, "learning_rate": np.array(RATE, np.float32)}
        with quietly():
            expected = model.train_on_batch(x[:real], y[:real])
        np.testing.assert_allclose(runtime.train(inputs), expected, rtol=2e-5, atol=2e-6)
        if step in (0, STEPS - 1):
            require_weights(trainee, runtime.weights)
    outputs = runtime.call("infer", {"x": inputs["x"]})["outputs"]
    np.testing.assert_allclose(outputs, model(inputs["x"], training=False), rtol=1e-4, atol=1e-5)
    require_padding_does_nothing(runtime, inputs)


def require_weights(trainee: Trainee, found: np.ndarray) -> None:
    """Says which layer is wrong, if one is."""
    wanted = trainee.layout.vector
    for entry in trainee.layout.spec.entries:
        part = slice(entry.offset, entry.offset + entry.size)
        np.testing.assert_allclose(
            found[part], wanted[part], rtol=1e-5, atol=1e-6, err_msg=entry.name
        )


def require_padding_does_nothing(runtime: Runtime, inputs: dict[str, np.ndarray]) -> None:
    before = runtime.weights
    assert runtime.train({**inputs, "weight": np.zeros(BATCH, np.float32)}) == 0.0
    np.testing.assert_array_equal(runtime.weights, before)


@pytest.mark.parametrize("group", SWEEP)
def test_a_layer_trains_on_the_phone_as_in_keras(group) -> None:
    keras.utils.set_random_seed(3)
    with quietly():
        model = built(group)
    require_parity(model, keras.losses.SparseCategoricalCrossentropy(from_logits=True))


@pytest.mark.parametrize("group", RANDOM)
def test_a_random_layer_trains_on_the_phone_as_in_keras_with_the_same_numbers(group) -> None:
    keras.utils.set_random_seed(3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with quietly():
        model = built(group)
        runtime, trainee = exported(model, loss)
        golden = golden_of(trainee, seed=0)
    losses = [runtime.train(golden.step(step)) for step in range(STEPS)]
    np.testing.assert_allclose(losses, golden.loss, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(runtime.weights, golden.weights_after_10, rtol=1e-5, atol=1e-6)
    require_padding_does_nothing(runtime, golden.step(0))
    assert np.unique(golden.seed).size == STEPS


@pytest.mark.parametrize("case", LOSSES)
def test_a_loss_trains_on_the_phone_as_in_keras(case) -> None:
    keras.utils.set_random_seed(3)
    require_parity(case.build(), KINDS[case.loss].keras_class(**case.options))


def test_no_case_is_listed_twice() -> None:
    names = [str(case) for case in (*cases.CASES, *cases.RANDOM, *loss_cases.LOSSES)]
    assert len(set(names)) == len(names) >= 40
    assert {*FAST, *FAST_RANDOM, *FAST_LOSSES} <= set(names)


def test_every_loss_that_a_phone_has_is_trained_with() -> None:
    assert {case.loss for case in loss_cases.LOSSES} == set(KINDS)


def test_the_page_lists_what_is_tested() -> None:
    assert PAGE.read_text() == cases.page(), "python tests/model_export/cases.py > docs/layers.md"

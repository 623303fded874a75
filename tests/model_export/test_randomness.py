"""Models that draw random numbers: all of them come from the seed that ``train`` is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from pocketfed.model_export import export, verify
from pocketfed.model_export.converting.convert import convert
from pocketfed.model_export.lowering import generator
from pocketfed.model_export.proving.drawing import golden_of
from pocketfed.model_export.proving.golden import STEPS, Golden
from pocketfed.model_export.proving.lint import lint
from pocketfed.model_export.training.losses import loss_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Program, Trainee, trace
from pocketfed.protocol.artifact import GOLDEN, Artifact
from pocketfed.protocol.errors import ExportError
from pocketfed.runtime import Runtime, quietly

layers, ops, random = keras.layers, keras.ops, keras.random
BATCH, RATE = 4, 0.4
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Noisy(layers.Layer):
    """Applies a function that draws random numbers, by default in training only."""

    def __init__(self, noise: Callable, *, always: bool = False, **options: object) -> None:
        super().__init__(**options)
        self.noise, self.always = noise, always

    def call(self, inputs, training=False):
        return self.noise(inputs) if training or self.always else inputs


def sequential(*parts: keras.layers.Layer) -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((6,)), *parts, layers.Dense(3, name="logits")])


def trainee_of(model: keras.Model) -> Trainee:
    return Trainee(model, loss_of(LOSS), optimizer_of("sgd"), BATCH, 5)


def traced(model: keras.Model) -> Program:
    with quietly():
        return trace(trainee_of(model))


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A model of two dropouts, exported."""
    model = sequential(
        layers.Dropout(RATE), layers.Dense(8, name="hidden"), layers.Dropout(RATE, seed=3)
    )
    out = tmp_path_factory.mktemp("artifacts") / "dropping"
    return export(model, out=out, loss=LOSS, batch_size=BATCH, evaluate_batch_size=5, name="drop")


def batch(*, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "x": rng.normal(size=(BATCH, 6)).astype(np.float32),
        "y": rng.integers(0, 3, BATCH).astype(np.int32),
        "weight": np.ones(BATCH, np.float32),
        "learning_rate": np.array(0.1, np.float32),
        "seed": np.array(seed, np.int32),
    }


def after_a_step(artifact: Artifact, *, seed: int, num_threads: int = 1) -> bytes:
    runtime = Runtime(artifact.model, num_threads=num_threads)
    runtime.train(batch(seed=seed))
    return runtime.weights.tobytes()


def names_of(program: Program, signature: str) -> list[str]:
    return [spec.name for spec in program.signatures()[signature].inputs]


def test_train_takes_a_seed_and_nothing_else_does(dropping: Artifact) -> None:
    signatures = dropping.manifest.signatures
    seed = signatures["train"].inputs[-1]
    assert (seed.name, seed.dtype, seed.shape) == ("seed", "int32", ())
    taking = [n for n, s in signatures.items() if "seed" in [spec.name for spec in s.inputs]]
    assert taking == ["train"]


def test_a_seed_takes_the_same_step_in_any_interpreter_on_any_number_of_threads(
    dropping: Artifact,
) -> None:
    steps = {after_a_step(dropping, seed=5, num_threads=count) for count in (1, 1, 2, 4)}
    assert len(steps) == 1


def test_every_seed_takes_another_step(dropping: Artifact) -> None:
    seeds = [0, 1, 2, 3, -1, -(2**31), 2**31 - 1]
    assert len({after_a_step(dropping, seed=seed) for seed in seeds}) == len(seeds)


def test_the_loss_is_that_of_masks_made_of_the_two_first_draws(dropping: Artifact) -> None:
    inputs, weights = batch(seed=77), dropping.checkpoint
    units = inputs["x"]
    for draw, layer in enumerate(("hidden", "logits")):
        numbers = generator.uniform(
            tf.constant(77), draw=draw, rows=BATCH, columns=units.shape[1]
        ).numpy()
        kept = units * (numbers >= np.float32(RATE)) / (1 - RATE)
        kernel, bias = (weights[e.name] for e in weights.spec.entries if layer in e.name)
        units = kept @ kernel + bias
    expected = LOSS(inputs["y"], units.astype(np.float32)).numpy()
    assert Runtime(dropping.model).train(inputs) == pytest.approx(expected, abs=1e-6)


def test_golden_vectors_hold_a_seed_for_each_step(dropping: Artifact, dense: Artifact) -> None:
    golden = Golden.from_bytes(dropping.bytes_of(GOLDEN))
    assert golden.is_random
    assert np.unique(golden.seed).size == STEPS
    assert golden.step(3)["seed"] == golden.seed[3]
    assert "seed" not in Golden.from_bytes(dense.bytes_of(GOLDEN)).step(3)


def test_verification_shows_that_the_seed_matters(dropping: Artifact, dense: Artifact) -> None:
    row = "steps that no other seed changes"
    checks = {check.name: check for check in verify(dropping.folder).checks}
    assert checks[row].passed
    assert row not in {check.name for check in verify(dense.folder).checks}


def test_a_step_that_the_seed_does_not_change_is_not_exported(tmp_path: Path) -> None:
    idle = Noisy(lambda x: x + 0 * random.uniform(ops.shape(x)))
    with pytest.raises(ExportError, match="steps that no other seed changes on Interpreter: got 1"):
        export(sequential(idle), out=tmp_path / "a", loss=LOSS, batch_size=2, evaluate_batch_size=2)


@pytest.mark.parametrize(
    "model",
    [
        lambda: sequential(layers.Dropout(0.0), layers.GaussianNoise(0.0)),
        lambda: sequential(Noisy(lambda x: x, always=True)),
    ],
    ids=["a rate of zero", "no noise"],
)
def test_a_step_without_random_numbers_takes_no_seed(model: Callable[[], keras.Model]) -> None:
    assert "seed" not in names_of(traced(model()), "train")


def test_masks_that_are_drawn_but_not_used_do_not_count() -> None:
    """Keras traces the masks of a recurrent layer for an evaluation, too."""
    x = keras.Input((3, 4))
    model = keras.Model(x, layers.Dense(3)(layers.LSTM(2, unroll=True, dropout=0.5)(x)))
    program = traced(model)
    assert names_of(program, "train")[-1] == "seed"
    kinds = {op.type for op in program.functions["evaluate"].graph.get_operations()}
    assert not {kind for kind in kinds if "Random" in kind}


def test_the_seeds_of_keras_are_neither_stored_nor_moved_on() -> None:
    model = sequential(layers.Dropout(0.5, seed=8))
    before = [variable.numpy() for variable in model.variables]
    with quietly():
        golden_of(trainee_of(model), seed=0)
    found = lint(convert(traced(model)))
    assert len(found.used) == len(model.trainable_variables)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert not np.array_equal(
        *(random.SeedGenerator.next(model.layers[0].seed_generator).numpy() for _ in range(2))
    )


@pytest.mark.slow
def test_keras_is_given_the_same_numbers_whether_a_recurrent_layer_loops_or_not() -> None:
    goldens = []
    for unroll in (True, False):
        keras.utils.set_random_seed(1)
        memory = layers.SimpleRNN(3, unroll=unroll, dropout=0.3, recurrent_dropout=0.3)
        model = keras.Sequential([keras.Input((3, 4)), memory, layers.Dense(3)])
        with quietly():
            goldens.append(golden_of(trainee_of(model), seed=0))
    assert all(golden.is_random for golden in goldens)
    unrolled, looping = (golden.weights_after_10 for golden in goldens)
    np.testing.assert_allclose(looping, unrolled, atol=1e-6)


KINDS = {
    "uniform": lambda x: x + random.uniform(ops.shape(x), -1, 1),
    "normal": lambda x: x * random.normal(ops.shape(x), 1, 0.5),
    "integer": lambda x: x * ops.cast(random.randint(ops.shape(x), -2, 3), "float32"),
    "categorical": lambda x: x * ops.cast(random.categorical(x, 6), "float32"),
    "one number for all": lambda x: x * random.uniform(()),
    "shuffled units": lambda x: random.shuffle(x, axis=1),
    "TensorFlow's own": lambda x: (
        x * tf.random.uniform(tf.shape(x)) + tf.random.normal(tf.shape(x))
    ),
}


@pytest.mark.slow
def test_random_numbers_of_a_layer_of_ones_own_train_on_the_phone_as_in_keras() -> None:
    """With a second layer of each kind: every draw has numbers of its own."""
    model = sequential(
        *[Noisy(kind) for kind in KINDS.values()], layers.Dense(6), Noisy(KINDS["uniform"])
    )
    with quietly():
        runtime = Runtime(convert(traced(model)))
        golden = golden_of(trainee_of(model), seed=0)
    losses = [runtime.train(golden.step(step)) for step in range(STEPS)]
    np.testing.assert_allclose(losses, golden.loss, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(runtime.weights, golden.weights_after_10, rtol=1e-5, atol=1e-6)


REFUSED = {
    "another distribution": (
        Noisy(lambda x: x * random.gamma(ops.shape(x), 1.0), name="odd"),
        ["odd (Noisy)", "StatelessRandomGammaV3", "draw uniform, normal, integer or categorical"],
    ),
    "an inference": (
        Noisy(KINDS["normal"], always=True, name="odd"),
        ["odd (Noisy)", "outside a training step", "only where training is true"],
    ),
    "examples on the second side": (
        Noisy(lambda x: x * ops.transpose(random.uniform((6, ops.shape(x)[0]))), name="odd"),
        ["odd (Noisy)", "its shape is computed", "let the first side be the examples"],
    ),
    "integers far apart": (
        Noisy(
            lambda x: x + ops.cast(random.randint(ops.shape(x), 0, 2**30), "float32"), name="odd"
        ),
        ["odd (Noisy)", "too far apart", "at most 16777216 integers"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_random_numbers_that_a_phone_cannot_draw_are_refused_by_name(
    case: str, tmp_path: Path
) -> None:
    layer, words = REFUSED[case]
    with pytest.raises(ExportError) as refusal, quietly():
        export(sequential(layer), out=tmp_path / "a", loss=LOSS, batch_size=2)
    assert [word for word in words if word not in str(refusal.value)] == []

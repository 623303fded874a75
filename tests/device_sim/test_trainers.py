"""Local training, whichever trainer runs it, against the same training in NumPy."""

import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.device_sim.training import graph_trainer
from pocketfed.device_sim.training.graph_trainer import GraphTrainer, GraphTrainers
from pocketfed.device_sim.training.trainers import LiteRTTrainer, TrainerPool
from pocketfed.protocol import wire
from pocketfed.protocol.artifact import GRAPH, FileEntry
from pocketfed.protocol.errors import ConfigError, DamagedArtifact, DataError, SpecMismatch
from pocketfed.protocol.plan import Plan
from pocketfed.protocol.weights import Weights
from pocketfed.runtime import Runtime


@dataclass
class NumpyModel:
    """Two dense layers with ReLU between, softmax cross-entropy, plain SGD, in float64."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray

    @classmethod
    def of(cls, weights):
        return cls(*(weights[entry.name].astype(np.float64) for entry in weights.spec.entries))

    def loss(self, x, y):
        """Per example; keeps what the backward pass needs."""
        self._x = x.reshape(len(x), -1)
        self._h = np.maximum(self._x @ self.w1 + self.b1, 0)
        self.logits = self._h @ self.w2 + self.b2
        shifted = self.logits - self.logits.max(1, keepdims=True)
        self._p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
        return -np.log(self._p[np.arange(len(y)), y])

    def step(self, x, y, learning_rate):
        loss = self.loss(x, y)
        d = (self._p - np.eye(self.logits.shape[1])[y]) / len(y)
        dh = (d @ self.w2.T) * (self._h > 0)
        self.w2 -= learning_rate * self._h.T @ d
        self.b2 -= learning_rate * d.sum(0)
        self.w1 -= learning_rate * self._x.T @ dh
        self.b1 -= learning_rate * dh.sum(0)
        return loss

    def vector(self):
        return np.concatenate([part.ravel() for part in (self.w1, self.b1, self.w2, self.b2)])


def numpy_training(artifact, examples, plan, *, seed, start):
    """(delta, loss of the last pass) of the paper's ClientUpdate, written out."""
    model, rng = NumpyModel.of(start), np.random.default_rng(seed)
    x = examples.inputs(artifact.manifest.input_scale).astype(np.float64)
    losses = []
    for _ in range(plan.epochs):
        order = rng.permutation(len(x))
        losses = []
        for at in range(0, len(x), plan.batch_size):
            batch = order[at : at + plan.batch_size]
            losses.extend(model.step(x[batch], examples.y[batch], plan.learning_rate))
    return model.vector() - start.vector, np.mean(losses)


def litert(artifact, manifest=None):
    return LiteRTTrainer(artifact.model, manifest or artifact.manifest)


def graph(artifact, manifest=None):
    return GraphTrainer(artifact.graph, manifest or artifact.manifest)


@pytest.fixture(scope="module", params=[litert, graph], ids=lambda make: make.__name__)
def make_trainer(request):
    return request.param


@pytest.fixture(scope="module")
def trainer(artifact, make_trainer):
    return make_trainer(artifact)


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 43), epochs=st.integers(1, 3), batch_size=st.integers(1, 10))
def test_every_example_counts_exactly_once_in_a_pass_whatever_the_phone_owns(
    trainer, artifact, make_examples, count, epochs, batch_size
):
    examples = make_examples(count, seed=count)
    plan = Plan(epochs=epochs, batch_size=batch_size, learning_rate=0.3)
    result = trainer.train(artifact.checkpoint, examples, plan=plan, rng=np.random.default_rng(5))
    delta, loss = numpy_training(artifact, examples, plan, seed=5, start=artifact.checkpoint)
    np.testing.assert_allclose(result.delta.vector, delta, atol=2e-6)
    assert result.loss == pytest.approx(loss, abs=1e-5)
    assert result.num_examples == count
    assert result.steps == epochs * -(-count // batch_size)


def test_seven_examples_in_a_batch_of_ten_weigh_as_seven(trainer, artifact, make_examples):
    examples = make_examples(7)
    plan = Plan(epochs=1, batch_size=10, learning_rate=0.1)
    result = trainer.train(artifact.checkpoint, examples, plan=plan, rng=np.random.default_rng(0))
    model = NumpyModel.of(artifact.checkpoint)
    model.step(examples.inputs(artifact.manifest.input_scale), examples.y, 0.1)
    expected = model.vector() - artifact.checkpoint.vector
    np.testing.assert_allclose(result.delta.vector, expected, atol=1e-6)


def test_the_same_stream_gives_the_same_bytes(trainer, artifact, make_examples):
    plan, examples = Plan(epochs=2), make_examples(33)
    first, second = (
        trainer.train(artifact.checkpoint, examples, plan=plan, rng=np.random.default_rng(1))
        for _ in range(2)
    )
    assert first.delta.vector.tobytes() == second.delta.vector.tobytes()


def test_a_model_with_dropout_trains_the_same_from_the_same_stream_and_not_from_another(
    artifact_of_dropout, make_trainer, make_examples
):
    dropping, plan, examples = artifact_of_dropout, Plan(epochs=2), make_examples(10)
    trainer = make_trainer(dropping)
    first, again, other = (
        trainer.train(dropping.checkpoint, examples, plan=plan, rng=np.random.default_rng(stream))
        for stream in (1, 1, 2)
    )
    assert first.delta.vector.tobytes() == again.delta.vector.tobytes()
    assert np.abs(first.delta.vector - other.delta.vector).max() > 1e-4


def test_every_step_of_a_model_with_dropout_has_another_seed(
    artifact_of_dropout, make_examples, monkeypatch
):
    seeds, train = [], Runtime.train

    def noted(runtime, inputs):
        seeds.append(int(inputs["seed"]))
        return train(runtime, inputs)

    monkeypatch.setattr(Runtime, "train", noted)
    dropping = artifact_of_dropout
    result = LiteRTTrainer(dropping.model, dropping.manifest).train(
        dropping.checkpoint, make_examples(33), plan=Plan(epochs=3), rng=np.random.default_rng(0)
    )
    assert len(set(seeds)) == len(seeds) == result.steps


def test_an_optimizer_remembers_nothing_of_an_earlier_training(
    artifact_of_adam, make_trainer, make_examples
):
    adam, plan = artifact_of_adam, Plan(epochs=2, learning_rate=0.01)
    trainer = make_trainer(adam)
    first, again = (
        trainer.train(adam.checkpoint, make_examples(33), plan=plan, rng=np.random.default_rng(1))
        for _ in range(2)
    )
    assert np.abs(first.delta.vector).max() > 1e-3
    assert first.delta.vector.tobytes() == again.delta.vector.tobytes()


def test_a_learning_rate_near_zero_moves_nothing(trainer, artifact, make_examples):
    plan = Plan(learning_rate=1e-30)
    result = trainer.train(
        artifact.checkpoint, make_examples(25), plan=plan, rng=np.random.default_rng(0)
    )
    assert np.abs(result.delta.vector).max() < 1e-29


def test_training_starts_from_the_weights_that_were_received(trainer, artifact, make_examples):
    start = Weights(artifact.checkpoint.spec, artifact.checkpoint.vector * np.float32(0.5))
    plan, examples = Plan(learning_rate=0.2), make_examples(12)
    result = trainer.train(start, examples, plan=plan, rng=np.random.default_rng(2))
    delta, _ = numpy_training(artifact, examples, plan, seed=2, start=start)
    np.testing.assert_allclose(result.delta.vector, delta, atol=1e-6)


def test_max_examples_caps_how_many_take_part_and_the_same_ones_in_every_pass(
    trainer, artifact, make_examples
):
    examples, plan = make_examples(30), Plan(epochs=2, max_examples=8, learning_rate=0.2)
    result = trainer.train(artifact.checkpoint, examples, plan=plan, rng=np.random.default_rng(4))
    rng = np.random.default_rng(4)
    chosen = examples.take(rng.permutation(30)[:8])
    model = NumpyModel.of(artifact.checkpoint)
    x = chosen.inputs(artifact.manifest.input_scale)
    for _ in range(2):
        order = rng.permutation(8)
        model.step(x[order], chosen.y[order], 0.2)
    assert result.num_examples == 8
    expected = model.vector() - artifact.checkpoint.vector
    np.testing.assert_allclose(result.delta.vector, expected, atol=1e-6)


def test_a_batch_larger_than_the_exported_one_is_refused(trainer, artifact, make_examples):
    with pytest.raises(ConfigError, match="batch_size=11: tiny was exported for batches of at"):
        trainer.train(
            artifact.checkpoint,
            make_examples(5),
            plan=Plan(batch_size=11),
            rng=np.random.default_rng(0),
        )


@pytest.mark.parametrize("count", [1, 15, 16, 17, 37])
def test_evaluation_agrees_with_numpy(trainer, artifact, make_examples, count):
    examples = make_examples(count, seed=7)
    result = trainer.evaluate(artifact.checkpoint, examples)
    model = NumpyModel.of(artifact.checkpoint)
    losses = model.loss(examples.inputs(artifact.manifest.input_scale), examples.y)
    assert result.num_examples == count
    assert result.loss == pytest.approx(losses.mean(), abs=1e-5)
    assert result.accuracy == pytest.approx((model.logits.argmax(1) == examples.y).mean())


def test_nothing_to_train_or_evaluate_on_is_said(trainer, artifact, make_examples):
    with pytest.raises(DataError, match="train"):
        trainer.train(
            artifact.checkpoint, make_examples(0), plan=Plan(), rng=np.random.default_rng(0)
        )
    with pytest.raises(DataError, match="evaluate"):
        trainer.evaluate(artifact.checkpoint, make_examples(0))


def test_images_of_another_size_are_refused(trainer, artifact, make_examples):
    examples = make_examples(5)
    wrong = type(examples)(examples.x[:, :3], examples.y)
    with pytest.raises(SpecMismatch, match=r"takes inputs of shape \(4, 4\).*\(3, 4\)"):
        trainer.train(artifact.checkpoint, wrong, plan=Plan(), rng=np.random.default_rng(0))


def test_a_model_of_several_inputs_is_refused(artifact, make_trainer, make_examples):
    train = artifact.manifest.signatures["train"]
    named = tuple(
        msgspec.structs.replace(spec, name="x_image") if spec.name == "x" else spec
        for spec in train.inputs
    )
    signatures = {"train": msgspec.structs.replace(train, inputs=named)}
    manifest = msgspec.structs.replace(artifact.manifest, signatures=signatures)
    with pytest.raises(SpecMismatch, match=r"takes x_image, y, .*; the examples have one x"):
        make_trainer(artifact, manifest).train(
            artifact.checkpoint, make_examples(5), plan=Plan(), rng=np.random.default_rng(0)
        )


def test_a_damaged_model_is_refused(artifact):
    with pytest.raises(DamagedArtifact, match="cannot open the model"):
        LiteRTTrainer(artifact.model[:1000], artifact.manifest)


def test_a_damaged_graph_is_refused(artifact):
    for damaged in (artifact.graph[:1000], b""):
        entry = FileEntry(sha256=wire.sha256(damaged), bytes=len(damaged))
        manifest = msgspec.structs.replace(artifact.manifest, files={GRAPH: entry})
        with pytest.raises(DamagedArtifact, match=r"graph\.pb (cannot be opened|has no function)"):
            GraphTrainer(damaged, manifest)


def test_the_graph_of_another_model_is_refused(artifact, artifact_of_adam):
    with pytest.raises(ConfigError, match="tiny was exported with another graph"):
        GraphTrainer(artifact_of_adam.graph, artifact.manifest)
    without = msgspec.structs.replace(artifact.manifest, files={})
    with pytest.raises(ConfigError, match=r"tiny was exported with no graph; .* graph\.pb"):
        GraphTrainer(artifact.graph, without)


def test_the_graph_is_traced_once_whatever_the_phones_own(artifact, make_examples, monkeypatch):
    traced, emit = [], graph_trainer._Function.__call__

    def noted(function, *words):
        traced.append(function)
        return emit(function, *words)

    monkeypatch.setattr(graph_trainer._Function, "__call__", noted)
    graph_trainer._program_of.cache_clear()
    for count, batch_size in ((3, 10), (33, 7), (50, 10)):
        trainer, plan = graph(artifact), Plan(batch_size=batch_size, epochs=2)
        rng = np.random.default_rng(0)
        trainer.train(artifact.checkpoint, make_examples(count), plan=plan, rng=rng)
        trainer.evaluate(artifact.checkpoint, make_examples(count))
    assert len(traced) == 2


def test_steps_of_dense_layers_are_fused_those_with_a_convolution_are_not(artifact):
    dense = tf.compat.v1.GraphDef.FromString(artifact.graph)
    assert graph_trainer._program_of(artifact.graph).is_fused
    dense.node.add(name="train/filtered", op="Conv2D")
    assert not graph_trainer._program_of(dense.SerializeToString()).is_fused


def test_a_graph_of_very_many_nodes_is_not_left_to_xla(artifact, monkeypatch):
    """Such as an unrolled recurrence, which it compiles for minutes in every process."""
    graph_trainer._program_of.cache_clear()
    monkeypatch.setattr(graph_trainer, "MOST_FUSED", 10)
    assert not graph_trainer._program_of(artifact.graph).is_fused
    graph_trainer._program_of.cache_clear()


def test_a_graph_trains_to_the_same_bits_whoever_came_before(artifact, make_examples):
    def trained(trainer, examples):
        rng, plan = np.random.default_rng(0), Plan(epochs=2)
        return trainer.train(artifact.checkpoint, examples, plan=plan, rng=rng).delta.vector

    mine, busy = make_examples(17, seed=1), graph(artifact)
    for count in (40, 3):
        trained(busy, make_examples(count, seed=2))
    np.testing.assert_array_equal(trained(busy, mine), trained(graph(artifact), mine))


def test_makers_of_graph_trainers_travel_to_other_processes(artifact):
    maker = pickle.loads(pickle.dumps(GraphTrainers(artifact.graph)))
    assert isinstance(maker(artifact.model, artifact.manifest), GraphTrainer)


def test_without_tensorflow_the_graph_trainer_says_what_to_install(artifact):
    program = (
        "from pathlib import Path; import sys\n"
        "sys.modules['tensorflow'] = None\n"
        "from pocketfed.device_sim.training.graph_trainer import GraphTrainer\n"
        "from pocketfed.protocol.artifact import Artifact\n"
        "artifact = Artifact.read(Path(sys.argv[1]))\n"
        "GraphTrainer(artifact.graph, artifact.manifest)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(artifact.folder)], capture_output=True, text=True
    )
    assert "ConfigError: trainer='graph': needs TensorFlow" in done.stderr


def test_a_manifest_that_lies_about_the_batch_is_found_out(artifact, make_trainer, make_examples):
    lying = make_trainer(artifact, msgspec.structs.replace(artifact.manifest, batch_size=11))
    with pytest.raises(DamagedArtifact, match=r"train .*cannot run"):
        lying.train(
            artifact.checkpoint, make_examples(5), plan=Plan(), rng=np.random.default_rng(0)
        )


def test_each_thread_has_a_trainer_of_its_own(artifact):
    pool = TrainerPool(LiteRTTrainer)
    found = []

    def take():
        found.append([pool.get("m", artifact.model, artifact.manifest) for _ in range(2)])

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (a, again), (b, _) = found
    assert a is again
    assert a is not b


@pytest.mark.parametrize("made", ["LiteRTTrainer(artifact.model", "GraphTrainer(artifact.graph"])
def test_the_runtime_says_nothing_on_the_terminal(artifact, made):
    program = (
        "from pathlib import Path; import sys\n"
        "from pocketfed.device_sim.training.graph_trainer import GraphTrainer\n"
        "from pocketfed.device_sim.training.trainers import LiteRTTrainer\n"
        "from pocketfed.protocol.artifact import Artifact\n"
        "artifact = Artifact.read(Path(sys.argv[1]))\n"
        f"{made}, artifact.manifest)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(artifact.folder)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

"""Two trainers, one training: the graph ends where the phones' runtime ends, and who checks it."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pocketfed.device_sim.data.examples import Examples
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.training import equality
from pocketfed.device_sim.training.equality import (
    EqualitySample,
    TrainersDisagree,
    disagreement_raised,
    summary_of,
)
from pocketfed.device_sim.training.graph_trainer import GraphTrainers
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol.artifact import Artifact, InputScale
from pocketfed.protocol.errors import ParityFailure
from pocketfed.protocol.plan import Plan, RetryWindow, RoundSettings
from pocketfed.protocol.weights import Weights

BATCH = 10


class Crooked(LiteRTTrainer):
    """Trains well, but for one weight."""

    def _take(self, steps, feed, vector, learning_rate):
        delta, losses = super()._take(steps, feed, vector, learning_rate)
        delta[0] += 1e-2
        return delta, losses


def sampled(artifact, *, share=1.0, trusted=LiteRTTrainer):
    return EqualitySample(fast=GraphTrainers(artifact.graph), trusted=trusted, share=share)


def compared(artifact, examples, *, plan, seed=0):
    """Trains with both trainers; returns how far they are apart, raises when it is too far."""
    trainer = sampled(artifact)(artifact.model, artifact.manifest)
    rng = np.random.default_rng(seed)
    deviation = trainer.train(artifact.checkpoint, examples, plan=plan, rng=rng).deviation
    assert deviation is not None
    return deviation


def exported(folder, *layers, optimizer="sgd", shape=(4, 4), dtype=None):
    from pocketfed.model_export import export
    from pocketfed.runtime import quietly

    with quietly():
        import keras

    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input(shape, dtype=dtype), *layers, keras.layers.Dense(3)])
    return export(
        model,
        out=folder,
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        batch_size=BATCH,
        evaluate_batch_size=16,
        input_scale=InputScale() if dtype else InputScale(scale=1 / 255),
        graph=True,
    )


@pytest.fixture(scope="module")
def artifact_of_normalization(tmp_path_factory) -> Artifact:
    """A batch normalization that trains, by an optimizer with momentum."""
    import keras

    layers = keras.layers
    middle = layers.Flatten(), layers.Dense(6), layers.BatchNormalization(), layers.ReLU()
    return exported(tmp_path_factory.mktemp("artifacts") / "bn", *middle, optimizer="momentum")


KINDS = {
    "artifact": 0.3,
    "artifact_of_adam": 0.01,
    "artifact_of_dropout": 0.3,
    "artifact_of_normalization": 0.05,
}


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=8)
@given(count=st.integers(1, 43), epochs=st.integers(1, 3), batch_size=st.integers(1, 10))
def test_the_graph_ends_within_the_tolerance_of_the_runtime_whatever_the_phone_owns(
    request, make_examples, kind, count, epochs, batch_size
):
    artifact = request.getfixturevalue(kind)
    # Rounding alone decides whether a unit is above the mean of a batch of itself.
    smallest = count % batch_size or batch_size
    assume(kind != "artifact_of_normalization" or min(smallest, batch_size) > 2)
    plan = Plan(epochs=epochs, batch_size=batch_size, learning_rate=KINDS[kind])
    assert compared(artifact, make_examples(count, seed=count), plan=plan, seed=count) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist_2nn", "mnist_cnn"])
def test_the_graphs_of_the_zoo_end_within_the_tolerance_of_the_runtime(name, tmp_path):
    from pocketfed.model_export import export_zoo

    artifact, rng = export_zoo(name, out=tmp_path / name, graph=True), np.random.default_rng(0)
    for count in (3, 10, 57):
        x = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        examples = Examples(x, rng.integers(0, 10, count).astype(np.int32))
        compared(artifact, examples, plan=Plan(epochs=2, learning_rate=0.05))


@pytest.mark.slow
def test_the_graph_of_a_language_model_ends_within_the_tolerance_of_the_runtime(tmp_path):
    import keras

    layers = keras.layers
    stack = [layers.LSTM(8, return_sequences=True, dropout=d) for d in (0.0, 0.2)]
    inner = layers.Embedding(9, 4), *stack
    artifact = exported(tmp_path / "char", *inner, shape=(25,), dtype="int32", optimizer="adam")
    rng = np.random.default_rng(0)
    for count in (3, 27):
        x, y = (rng.integers(0, end, (count, 25)).astype(np.int32) for end in (9, 3))
        compared(artifact, Examples(x.astype(np.uint8), y), plan=Plan(epochs=2, learning_rate=0.01))


def test_only_a_share_is_trained_twice_the_first_in_any_case_and_the_same_ones_again(
    artifact, make_examples
):
    examples, plan, found = make_examples(7), Plan(), []
    for _ in range(2):
        sample = sampled(artifact, share=0.2)
        trainer, compared_now = sample(artifact.model, artifact.manifest), []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            result = trainer.train(artifact.checkpoint, examples, plan=plan, rng=rng)
            compared_now.append(result.deviation is not None)
        found.append(compared_now)
    assert found[0] == found[1]
    assert found[0][0]
    assert 3 <= sum(found[0]) <= 16


def test_a_comparison_changes_neither_the_result_nor_the_stream(artifact, make_examples):
    outcomes = []
    for make in (GraphTrainers(artifact.graph), sampled(artifact)):
        rng, trainer = np.random.default_rng(3), make(artifact.model, artifact.manifest)
        result = trainer.train(artifact.checkpoint, make_examples(23), plan=Plan(epochs=2), rng=rng)
        outcomes.append((result.delta.vector.tobytes(), result.loss, rng.random()))
    assert outcomes[0] == outcomes[1]


def test_trainers_that_disagree_are_found_out(artifact, make_examples):
    sample = sampled(artifact, trusted=Crooked)
    trainer = sample(artifact.model, artifact.manifest)
    with (
        pytest.raises(
            ParityFailure, match=r"two trainers of tiny are [\d.e+]+ times .* apart"
        ) as found,
        disagreement_raised(),
    ):
        trainer.train(
            artifact.checkpoint, make_examples(7), plan=Plan(), rng=np.random.default_rng(0)
        )
    assert found.value.max_error == pytest.approx(1e-2, rel=1e-2)


# At this rate rounding decides where a long training ends, in either trainer.
CHAOTIC = Plan(epochs=64, learning_rate=10.0)


def test_of_a_chaotic_training_the_part_is_compared_that_proves_something(
    artifact, make_examples, monkeypatch
):
    monkeypatch.setattr(equality, "MOST_MOVED", 1e-3)
    examples, trainers = make_examples(43), (GraphTrainers(artifact.graph), LiteRTTrainer)
    results = [
        new(artifact.model, artifact.manifest).train(
            artifact.checkpoint, examples, plan=CHAOTIC, rng=np.random.default_rng(0)
        )
        for new in trainers
    ]
    assert np.max(np.abs(results[0].delta.vector - results[1].delta.vector)) > 0.01
    assert compared(artifact, examples, plan=CHAOTIC) <= 1.0


@pytest.mark.parametrize(
    ("plan", "count"), [(CHAOTIC, 43), (Plan(learning_rate=10.0), 640), (CHAOTIC, 1)]
)
def test_a_disagreement_is_found_in_a_part_too(artifact, make_examples, plan, count):
    trainer = sampled(artifact, trusted=Crooked)(artifact.model, artifact.manifest)
    rng = np.random.default_rng(0)
    with pytest.raises(TrainersDisagree):
        trainer.train(artifact.checkpoint, make_examples(count), plan=plan, rng=rng)


class Miscounting(LiteRTTrainer):
    """Says that it trained on an example more."""

    def train(self, weights, examples, *, plan, rng):
        result = super().train(weights, examples, plan=plan, rng=rng)
        return replace(result, num_examples=result.num_examples + 1)


class Exploding(LiteRTTrainer):
    """Ends nowhere in one weight."""

    def _take(self, steps, feed, vector, learning_rate):
        delta, losses = super()._take(steps, feed, vector, learning_rate)
        delta[0] = np.nan
        return delta, losses


@pytest.mark.parametrize("trusted", [Miscounting, Exploding])
def test_another_count_and_a_number_of_one_trainer_alone_are_disagreements(
    artifact, make_examples, trusted
):
    trainer = sampled(artifact, trusted=trusted)(artifact.model, artifact.manifest)
    rng = np.random.default_rng(0)
    with pytest.raises(TrainersDisagree):
        trainer.train(artifact.checkpoint, make_examples(7), plan=Plan(), rng=rng)


def test_a_disagreement_travels_between_processes():
    error = pickle.loads(pickle.dumps(TrainersDisagree("too far", 0.5)))
    assert (str(error), error.max_error) == ("too far", 0.5)


def test_what_diverged_in_both_is_no_disagreement(artifact, make_examples):
    start = Weights(artifact.checkpoint.spec, np.full_like(artifact.checkpoint.vector, np.nan))
    sample = sampled(artifact)
    trainer = sample(artifact.model, artifact.manifest)
    rng = np.random.default_rng(0)
    assert trainer.train(start, make_examples(7), plan=Plan(), rng=rng).deviation == 0.0


def test_the_summary_says_how_many_and_how_far():
    assert summary_of([]) == "none compared"
    assert summary_of([0.25, 0.125]) == "2 compared, at most 0.25 of the tolerance apart"


def fleet(host, artifact, make_examples, new_trainer):
    """Runs two rounds of a fleet on a real server; returns what it has counted."""
    clock = VirtualClock()
    retry = RetryWindow(min_s=5.0, max_s=20.0)
    hosted = host(RoundSettings(goal=3, rounds=2, retry=retry), clock=clock)
    phones = VirtualFleet(
        FleetSettings(population="people"),
        owned=Listed([make_examples(8, seed=device) for device in range(6)]),
        session=hosted.session,
        clock=clock,
        new_trainer=new_trainer,
    )
    phones.run(until=lambda: len(hosted.history().checkpoints) == 3 or clock.now() > 3600)
    assert hosted.history().checkpoints[-1].version == 2
    return phones.tallies


def test_a_fleet_ends_at_once_when_its_trainers_disagree(host, artifact, make_examples):
    with pytest.raises(TrainersDisagree):
        fleet(host, artifact, make_examples, sampled(artifact, trusted=Crooked))


def test_a_fleet_trains_with_the_graph_and_knows_how_many_were_compared(
    host, artifact, make_examples
):
    tallies = fleet(host, artifact, make_examples, sampled(artifact))
    assert len(tallies.deviations) >= 6
    assert max(tallies.deviations) <= 1.0

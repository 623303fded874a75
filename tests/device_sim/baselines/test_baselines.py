"""Baselines by themselves: full batches are exact, pools hold everybody's examples."""

import numpy as np
import pytest
from pocketfed.device_sim.baselines import FullBatchTrainers, pooled, train_centralised
from pocketfed.device_sim.data.examples import joined
from pocketfed.device_sim.ownership import Listed, Partitioned
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol.errors import ConfigError
from pocketfed.protocol.plan import Plan
from pocketfed.protocol.weights import Weights

PLAN = Plan(batch_size=10, learning_rate=0.1)


def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("count", [10, 27, 3])
def test_a_full_batch_is_one_step_on_all_examples(artifact, make_examples, count) -> None:
    examples = make_examples(count)
    full = FullBatchTrainers(LiteRTTrainer)(artifact.model, artifact.manifest)
    result = full.train(artifact.checkpoint, examples, plan=PLAN, rng=rng())
    # The gradient is a mean over examples, so those of single examples average to it.
    one = LiteRTTrainer(artifact.model, artifact.manifest)
    single = [
        one.train(artifact.checkpoint, examples.take(np.array([at])), plan=PLAN, rng=rng())
        for at in range(count)
    ]
    expected = np.mean([each.delta.vector for each in single], axis=0, dtype=np.float64)
    assert result.delta.vector == pytest.approx(expected, abs=1e-6)
    assert result.loss == pytest.approx(np.mean([each.loss for each in single]), rel=1e-5)
    assert (result.num_examples, result.steps) == (count, -(-count // 10))


def test_a_full_batch_takes_no_more_than_the_plan_allows(artifact, make_examples) -> None:
    full = FullBatchTrainers(LiteRTTrainer)(artifact.model, artifact.manifest)
    plan = Plan(batch_size=10, max_examples=12)
    result = full.train(artifact.checkpoint, make_examples(40), plan=plan, rng=rng())
    assert result.num_examples == 12


def test_each_pass_over_a_full_batch_is_a_step_from_where_the_last_one_ended(
    artifact, make_examples
) -> None:
    examples, full = make_examples(27), FullBatchTrainers(LiteRTTrainer)
    trainer = full(artifact.model, artifact.manifest)
    plan = Plan(batch_size=10, learning_rate=0.1, epochs=3)
    result = trainer.train(artifact.checkpoint, examples, plan=plan, rng=rng())
    now, last = artifact.checkpoint, result
    for _ in range(3):
        last = trainer.train(now, examples, plan=PLAN, rng=rng())
        now = Weights(now.spec, now.vector + last.delta.vector)
    assert result.delta.vector == pytest.approx(now.vector - artifact.checkpoint.vector, abs=1e-6)
    assert result.loss == pytest.approx(last.loss, rel=1e-5)
    assert (result.num_examples, result.steps) == (27, 9)


def test_full_batches_need_plain_sgd(artifact_of_adam) -> None:
    with pytest.raises(ConfigError, match="needs a model with sgd"):
        FullBatchTrainers(LiteRTTrainer)(artifact_of_adam.model, artifact_of_adam.manifest)


def test_the_pool_has_every_example_once(make_examples) -> None:
    examples = make_examples(12)
    parts = [np.array([3, 1]), np.array([0, 2, 4, 5, 6, 7, 8, 9, 10, 11])]
    pool = pooled(Partitioned.of_parts(examples, parts), seed=1)
    assert sorted(pool.x.sum((1, 2)).tolist()) == sorted(examples.x.sum((1, 2)).tolist())


def test_the_pool_of_a_fleet_that_makes_its_examples_is_a_sample(
    make_examples, monkeypatch
) -> None:
    monkeypatch.setattr("pocketfed.device_sim.baselines.centralised.POOLED", 20)
    owned = Listed([make_examples(6, seed=device) for device in range(50)])
    assert len(pooled(owned, seed=1)) == 24
    assert np.array_equal(pooled(owned, seed=1).y, pooled(owned, seed=1).y)
    assert not np.array_equal(pooled(owned, seed=1).x, pooled(owned, seed=2).x)


def test_centralised_sgd_learns_and_is_measured_beside_rounds(artifact, make_examples) -> None:
    pool = joined([make_examples(30, seed=seed) for seed in (1, 2)])
    points = list(
        train_centralised(
            LiteRTTrainer(artifact.model, artifact.manifest),
            artifact.checkpoint,
            pool,
            test=make_examples(60, seed=9),
            plan=PLAN,
            budget=[(0, 0), (1, 300), (2, 900)],
            seed=1,
        )
    )
    assert [(point.round, point.examples) for point in points] == [(0, 0), (1, 300), (2, 900)]
    assert points[0].accuracy < points[2].accuracy > 0.9


def test_long_runs_are_measured_now_and_then(artifact, make_examples) -> None:
    points = list(
        train_centralised(
            LiteRTTrainer(artifact.model, artifact.manifest),
            artifact.checkpoint,
            make_examples(10),
            test=make_examples(4),
            plan=PLAN,
            budget=[(round_, round_) for round_ in range(301)],
            seed=1,
        )
    )
    assert len(points) == 50
    assert (points[0].round, points[-1].round) == (0, 300)

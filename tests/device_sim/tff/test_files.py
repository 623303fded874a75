"""A job as files holds the very batches that a phone's trainer takes."""

import json

import numpy as np
import pytest
from pocketfed.device_sim.conditions import shuffle_stream
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.tff import TffJob, made
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol.plan import Plan, RoundSettings
from safetensors.numpy import load_file, save_file

PLAN = Plan(epochs=2, batch_size=4, learning_rate=0.1, max_examples=13)
COHORTS = [[2, 0], [1, 2]]


class Watched(LiteRTTrainer):
    """Keeps the batches it takes."""

    def _take(self, steps, feed, vector, learning_rate):
        rows = zip(steps.places, steps.weight > 0, strict=True)
        self.batches = [(feed.x[at[real]], feed.y[at[real]]) for at, real in rows]
        return super()._take(steps, feed, vector, learning_rate)


@pytest.fixture
def owned(make_examples):
    return Listed([make_examples(count, seed=count) for count in (3, 9, 30)])


@pytest.fixture
def folder(artifact, owned, tmp_path):
    TffJob(
        artifact=artifact,
        model={"layers": []},
        plan=PLAN,
        settings=RoundSettings(),
        owned=owned,
        seed=5,
        cohorts=COHORTS,
    ).write(tmp_path)
    return tmp_path


def batches_in(folder, device, number):
    phone = load_file(folder / "phones" / f"{device}.safetensors")
    taken = load_file(folder / "rounds" / f"{number}.safetensors")
    cuts = np.cumsum(taken[f"{device}/sizes"])[:-1]
    parts = np.split(taken[f"{device}/order"], cuts)
    return [(phone["x"][part], phone["y"][part]) for part in parts]


def test_the_batches_are_those_of_the_trainer(folder, artifact, owned):
    trainer = Watched(artifact.model, artifact.manifest)
    for number, cohort in enumerate(COHORTS, 1):
        for device in cohort:
            rng = shuffle_stream(seed=5, device=device, round_=number)
            trainer.train(artifact.checkpoint, owned.of(device), plan=PLAN, rng=rng)
            found = batches_in(folder, device, number)
            assert len(found) == len(trainer.batches)
            for (x, y), (other_x, other_y) in zip(found, trainer.batches, strict=True):
                assert (x.tobytes(), y.tobytes()) == (other_x.tobytes(), other_y.tobytes())


def test_a_job_says_the_shape_of_a_row_and_who_is_in_a_round(folder):
    job = json.loads((folder / "job.json").read_text())
    assert (job["x"], job["y"]) == (
        {"shape": [4, 4], "dtype": "float32"},
        {"shape": [], "dtype": "int32"},
    )
    assert (job["rounds"], job["learning_rate"]) == (COHORTS, 0.1)


def test_weights_travel_without_the_name_of_the_model_and_come_back(folder, artifact):
    arrays = load_file(folder / "weights.safetensors")
    assert {f"tiny/{name}" for name in arrays} == {e.name for e in artifact.manifest.spec}
    (folder / "made").mkdir()
    save_file(arrays, folder / "made" / "1.safetensors")
    back = made(folder, 1, artifact.checkpoint.spec)
    assert back.vector.tobytes() == artifact.checkpoint.vector.tobytes()

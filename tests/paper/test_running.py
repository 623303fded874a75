"""A cell is run once, kept as a file, and read off it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pocketfed.device_sim.data.datasets import fetch
from pocketfed.paper.averaging import mixtures
from pocketfed.paper.exhibits import SGD, cell_named
from pocketfed.paper.running import Bench, artifact_of
from pocketfed.paper.runs import Run, line_of
from pocketfed.paper.setups import TWO_NN
from pocketfed.paper.sweeps import LARGE_E

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset():
    """Digits that need no download, few enough for seconds."""
    drawn = fetch("handwriting").tested_on(500)
    rng = np.random.default_rng(1)
    return replace(drawn, train=drawn.train.take(rng.permutation(len(drawn.train))[:2000]))


@pytest.fixture
def bench(dataset, tmp_path: Path) -> Bench:
    said: list[str] = []
    return Bench(
        dataset_of=lambda setup: dataset,
        results=tmp_path / "results",
        scratch=tmp_path / "scratch",
        workers=0,
        say=said.append,
    )


def test_a_run_is_kept_and_not_run_again(bench) -> None:
    cell = replace(cell_named("2nn-iid-C0.1-E1-B10"), measure_every=2, target=0.99)
    made = bench.run(cell, -3, rounds=4)
    (path,) = (bench.results / cell.name).iterdir()
    assert path.name == "0.1.json"
    assert Run.from_json(path.read_bytes()) == made
    assert [point.round for point in made.points] == [0, 2, 4]
    assert made.bytes_up > 10 * 4 * 199_210
    assert "best" in line_of(made)
    again = bench.run(cell, -3, rounds=3)
    assert again.cpu_s == made.cpu_s
    assert list(bench.scratch.glob("2nn-*/*")) == []


def test_a_run_that_was_too_short_is_run_again(bench) -> None:
    cell = replace(cell_named("2nn-iid-C0.1-E1-B10"), target=0.99)
    short = bench.run(cell, -3, rounds=1)
    longer = bench.run(cell, -3, rounds=2)
    assert (short.points[-1].round, longer.points[-1].round) == (1, 2)
    assert longer.points[:2] == short.points


def test_a_run_that_stays_where_it_began_ends_long_before_its_last_round(bench) -> None:
    cell = replace(cell_named("2nn-iid-C0.1-E1-B10"), target=0.99)
    best = bench.run(cell, -1, rounds=2)
    slow = bench.run(cell, -12, rounds=40, rival=best)
    assert slow.points[-1].round == 4
    assert slow.rounds == 40


def test_without_batches_a_run_takes_one_step_a_round_on_all_examples(bench) -> None:
    cell = replace(cell_named("2nn-iid-C0.1-E1-Binf"), target=0.99, measure_every=1)
    made = bench.run(cell, -2, rounds=2)
    assert [point.round for point in made.points] == [0, 1, 2]
    assert made.points[2].loss < made.points[0].loss


def test_a_sweep_measures_training_examples_at_every_rate_and_stops_at_none(bench) -> None:
    cell = replace(LARGE_E["large_e_2nn_iid"].cells[1], most_rounds=2)
    made = bench.sweep(cell, (-3, -2.5))
    assert [round(run.learning_rate, 4) for run in made] == [0.1, 0.1468]
    assert made[0].rounds_to_target is None
    assert [run.points[0] for run in made] == [made[0].points[0]] * 2
    assert made[0].cell.endswith("-E5-B10-train")


def test_centralised_sgd_is_a_run_whose_rounds_are_updates(bench) -> None:
    cell = replace(SGD[0], target=0.6)
    made = bench.run(cell, -2, rounds=200)
    assert made.rounds_to_target is not None
    assert 0 < made.rounds_to_target <= 200
    assert made.points[1].round == 4
    assert (made.cell, made.bytes_up) == ("2nn-sgd-B100", 0.0)
    assert bench.run(cell, -2, rounds=400).cpu_s == made.cpu_s


def test_the_average_of_two_models_of_one_start_is_better_than_both(dataset, tmp_path) -> None:
    different, shared = mixtures(dataset, scratch=tmp_path)
    assert shared.middle < min(shared.parents)
    assert different.middle > max(different.parents)
    assert len(shared.losses) == 50
    assert (shared.thetas[0], shared.thetas[-1]) == (-0.2, 1.2)
    manifest = artifact_of(TWO_NN, 50, tmp_path).manifest
    assert (manifest.batch_size, manifest.plan.batch_size) == (50, 50)

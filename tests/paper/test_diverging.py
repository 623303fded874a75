"""A rate that is too high is a run like any other, so that a search goes on."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from pocketfed.device_sim.report.baselines import BaselinePoint
from pocketfed.paper import running
from pocketfed.paper.cells import Cell
from pocketfed.paper.exhibits import SGD, cell_named
from pocketfed.paper.pooled import Pooled
from pocketfed.paper.running import Bench
from pocketfed.paper.runs import line_of
from pocketfed.protocol.errors import HopelessRun

NAN = float("nan")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Where nothing is exported and every simulation fails."""

    def failing(*_: object, out: Path, **__: object) -> None:
        out.mkdir(parents=True)
        raise HopelessRun("task", "it", "50 sessions in a row failed")

    monkeypatch.setattr(running, "artifact_of", lambda *_: None)
    monkeypatch.setattr(running, "virtual", failing)
    monkeypatch.setattr(Cell, "measured", lambda _, dataset: dataset)
    return Bench(
        dataset_of=lambda setup: SimpleNamespace(name=setup.dataset),  # type: ignore[arg-type,return-value]
        results=tmp_path / "results",
        scratch=tmp_path / "scratch",
        workers=0,
    )


def test_a_run_in_which_nobody_can_report_is_kept_as_one_that_diverged(bench: Bench) -> None:
    cell = cell_named("2nn-iid-C0.1-E1-B10")
    made = bench.run(cell, 6, rounds=10)
    assert (made.points, made.best_accuracy, made.rounds_to_target) == ((), 0.0, None)
    assert "diverged" in line_of(made)
    assert bench.run(cell, 6, rounds=1000) == made
    assert not (bench.scratch / cell.name / "100").exists()


def test_a_curve_ends_where_its_loss_leaves_all_bounds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [BaselinePoint(0, 0.1, 2.3, 0), BaselinePoint(9, 0.1, NAN, 900)]
    monkeypatch.setattr(Pooled, "curve", lambda *_, **__: iter(points))
    made = bench.run(SGD[0], 3, rounds=100)
    assert [point.round for point in made.points] == [0]


def test_a_run_far_behind_the_best_ends_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rising = [BaselinePoint(at, 0.1 + at / 100, 1.0, at) for at in range(50)]
    monkeypatch.setattr(Pooled, "curve", lambda *_, **__: iter(rising))
    best = bench.run(SGD[0], -3, rounds=50)
    stuck = [BaselinePoint(at, 0.12, 2.3, at) for at in range(50)]
    monkeypatch.setattr(Pooled, "curve", lambda *_, **__: iter(stuck))
    made = bench.run(SGD[0], -1, rounds=50, rival=best)
    # At its third measurement the best run was more accurate than this one ever was.
    assert [point.round for point in made.points] == list(range(13))
    assert bench.run(SGD[0], -1, rounds=50) == made


def test_a_run_as_fast_as_the_best_was_is_never_behind(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rising = [BaselinePoint(at, 0.1 + at / 100, 1.0, at) for at in range(50)]
    monkeypatch.setattr(Pooled, "curve", lambda *_, **__: iter(rising))
    best = bench.run(SGD[0], -3, rounds=50)
    assert len(bench.run(SGD[0], -2, rounds=50, rival=best).points) == 50

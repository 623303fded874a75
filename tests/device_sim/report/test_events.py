"""TensorBoard reads what a run leaves."""

import sys
from pathlib import Path

import pytest
from pocketfed.device_sim.following.census import Standing
from pocketfed.device_sim.following.monitor import RoundRow
from pocketfed.device_sim.report.baselines import BaselinePoint, baseline_of
from pocketfed.device_sim.report.events import write_events

BASELINE = baseline_of(
    [BaselinePoint(round=0, accuracy=0.1, loss=2.0, examples=0)],
    kind="fedsgd",
    name="FedSGD",
    note="",
    learning_rate=0.1,
    target=None,
)


def row(round_, accuracy, seconds):
    return RoundRow(
        round=round_,
        attempt=1,
        accuracy=accuracy,
        loss=1.0,
        train_loss=None,
        accepted=10,
        late=0,
        dropped=0,
        num_examples=2,
        bytes_up=0,
        bytes_down=0,
        seconds=seconds,
        checkpoint="0" * 64,
        staleness=0.5,
        standing=Standing(check_ins=25 * round_, bytes_up=1000 * round_),
    )


ROWS = [row(0, 0.1, 0.0), row(1, 0.5, 3600.0)]


def scalars(folder: Path) -> dict[str, list[tuple[int, float, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(one.step, one.wall_time, one.value) for one in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def test_tensorboard_reads_the_curves_against_rounds_and_the_fleets_clock(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    pytest.importorskip("tensorboard")
    assert write_events(tmp_path / "tensorboard", ROWS, [BASELINE])
    run = scalars(tmp_path / "tensorboard" / "run")
    assert run["accuracy"] == [(0, 0.0, pytest.approx(0.1)), (1, 3600.0, pytest.approx(0.5))]
    assert run["bytes/up"][1][2] == 1000.0
    assert run["cohort/staleness"][1][2] == 0.5
    assert run["check_ins_per_report"][1][2] == 2.5
    assert "train/loss" not in run
    beside = scalars(tmp_path / "tensorboard" / "fedsgd")
    assert beside["accuracy"] == [(0, 0.0, pytest.approx(0.1))]


def test_events_of_an_earlier_run_are_gone(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    folder = tmp_path / "tensorboard"
    write_events(folder, ROWS, [BASELINE])
    write_events(folder, ROWS, [])
    assert not (folder / "fedsgd").exists()
    assert len(list((folder / "run").iterdir())) == 1


def test_without_the_package_there_are_no_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    stale = tmp_path / "tensorboard" / "run"
    stale.mkdir(parents=True)
    assert not write_events(tmp_path / "tensorboard", ROWS, [])
    assert not stale.exists()

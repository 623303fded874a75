"""The packages joined: export, server, phones and report, in one process and over HTTP."""

import csv
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from pocketfed.cli.demo import scenario_of, server_process
from pocketfed.cli.simulating.simulation import live, virtual
from pocketfed.client import AdminClient, Session
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.data.dataset import Dataset
from pocketfed.protocol.admin import RoundPhase, TaskStatus
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.errors import ConfigError, Unavailable
from pocketfed.protocol.plan import Plan

SMALL = replace(
    scenario_of(phones=12, seed=3, rounds=3, target=None, limit_s=3600.0),
    conditions=Conditions(drop_out=0.2),
)


def _last_checkpoint(folder: Path) -> str:
    with (folder / "rounds.csv").open() as file:
        return list(csv.DictReader(file))[-1]["checkpoint"]


def test_a_virtual_run_learns_and_leaves_its_report(
    artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    summary = virtual(SMALL, artifact=artifact, dataset=dataset, out=tmp_path)
    assert summary.rounds == 3
    assert summary.accuracy > 0.9
    assert json.loads((tmp_path / "summary.json").read_bytes())["accuracy"] == summary.accuracy
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "index.html").read_text()


def test_the_same_seed_gives_the_same_checkpoint_whoever_trains(
    artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    for name, seed, workers in (("first", 3, "0"), ("again", 3, "1"), ("other", 4, "0")):
        scenario = replace(SMALL, seed=seed, workers=workers)
        virtual(scenario, artifact=artifact, dataset=dataset, out=tmp_path / name)
    first, again, other = (_last_checkpoint(tmp_path / n) for n in ("first", "again", "other"))
    assert first == again
    assert first != other


def test_a_run_in_which_every_phone_fails_ends_and_says_why(
    artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    # A rate at which the weights leave what the server can sum, after one pass.
    plan = Plan(batch_size=10, learning_rate=1e5)
    with pytest.raises(
        ConfigError, match=r"50 sessions in a row failed, the last because .*element"
    ):
        virtual(replace(SMALL, plan=plan), artifact=artifact, dataset=dataset, out=tmp_path)


def test_a_run_ends_when_its_target_is_reached(
    artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(SMALL.settings, rounds=50)
    scenario = replace(SMALL, settings=settings, target=0.5)
    summary = virtual(scenario, artifact=artifact, dataset=dataset, out=tmp_path)
    assert summary.accuracy >= 0.5
    assert summary.to_target is not None
    assert summary.rounds - 1 < summary.to_target.rounds <= summary.rounds
    assert summary.rounds < 50


@pytest.mark.slow
def test_a_live_run_over_http_commits_every_round(
    artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    with server_process(tmp_path / "server") as url:
        token = (tmp_path / "server" / "admin.token").read_text().strip()
        summary = live(
            SMALL,
            artifact=artifact,
            dataset=dataset,
            server=url,
            admin_token=token,
            out=tmp_path / "report",
        )
        with Session(url) as session:
            history = AdminClient(session, token=token).history(SMALL.task)
    assert summary.rounds == 3
    assert history.task.status is TaskStatus.FINISHED
    committed = [r for r in history.rounds if r.phase is RoundPhase.COMMITTED]
    assert [r.accepted for r in committed] == [10, 10, 10]
    assert summary.accuracy > 0.9


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        server_process(tmp_path / "server"),
        pytest.raises(Unavailable, match="another server runs on this folder"),
        server_process(tmp_path / "server"),
    ):
        pytest.fail("two servers own one folder")


def test_a_server_that_dies_is_not_taken_for_a_network_failure(tmp_path: Path) -> None:
    running = server_process(tmp_path / "server")
    running.__enter__()
    pid = json.loads((tmp_path / "server" / "server.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(Unavailable, match="ended by itself, exit code -9"):
        running.__exit__(None, None, None)

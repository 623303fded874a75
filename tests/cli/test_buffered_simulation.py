"""Simulations of a buffered task: the same phones, in one process and over HTTP."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from pocketfed.cli.demo import scenario_of, server_process
from pocketfed.cli.simulating.simulation import live, virtual
from pocketfed.client import AdminClient, Session
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.data.dataset import Dataset
from pocketfed.protocol.admin import TaskStatus
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.plan import Buffering

ROUNDS = 4
PLAIN = scenario_of(phones=12, seed=3, rounds=ROUNDS, target=None, limit_s=3600.0)
BUFFERED = replace(
    PLAIN,
    conditions=Conditions(drop_out=0.1),
    settings=msgspec.structs.replace(PLAIN.settings, goal=3, buffer=Buffering(concurrency=9)),
)


def test_a_virtual_run_of_a_buffered_task_learns(
    artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    summary = virtual(BUFFERED, artifact=artifact, dataset=dataset, out=tmp_path)
    assert summary.rounds == ROUNDS
    assert summary.accuracy > 0.8


@pytest.mark.slow
def test_a_live_run_of_a_buffered_task_commits_every_version(
    artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    with server_process(tmp_path / "server") as url:
        token = (tmp_path / "server" / "admin.token").read_text().strip()
        summary = live(
            BUFFERED,
            artifact=artifact,
            dataset=dataset,
            server=url,
            admin_token=token,
            out=tmp_path / "report",
        )
        with Session(url) as session:
            history = AdminClient(session, token=token).history(BUFFERED.task)
    assert summary.rounds == ROUNDS
    assert history.task.status is TaskStatus.FINISHED
    assert [one.accepted for one in history.rounds] == [3] * ROUNDS
    assert all(one.mean_staleness is not None for one in history.rounds)

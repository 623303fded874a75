"""An operator's evaluations and turns of a task, by commands against a running server."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from pocketfed import cli
from pocketfed.cli.demo import scenario_of, server_process
from pocketfed.cli.simulating.simulation import live, virtual
from pocketfed.client import AdminClient, Session
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.data import datasets
from pocketfed.device_sim.data.dataset import Dataset
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol.admin import EvaluationSource, TaskStatus
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.plan import EvaluationSettings

SMALL = scenario_of(phones=12, seed=3, rounds=3, target=None, limit_s=3600.0)
MEASURED = replace(
    SMALL,
    settings=msgspec.structs.replace(SMALL.settings, evaluation=EvaluationSettings(goal=3)),
)


Shell = Callable[..., str]


@pytest.fixture
def shell(
    tmp_path: Path,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    """Runs a command against a server of its own; MNIST is the generated patterns."""
    monkeypatch.setattr(datasets, "fetch", lambda name, data_dir=None: dataset)
    with server_process(tmp_path / "server") as url:
        token = (tmp_path / "server" / "admin.token").read_text().strip()
        monkeypatch.setenv("POCKETFED_ADMIN_TOKEN", token)

        def run(*words: str, code: int = 0) -> str:
            assert cli.main(["pocketfed", *words, f"--server={url}"]) == code
            shown = capsys.readouterr()
            return shown.out + shown.err

        run.url, run.token = url, token  # type: ignore[attr-defined]
        yield run


def test_checkpoints_are_measured_told_to_the_server_and_shown(
    shell: Shell, artifact: Artifact, dataset: Dataset
) -> None:
    where = f"--artifact={artifact.folder}"
    shell("task", "create", "digits", where)
    result = LiteRTTrainer(artifact.model, artifact.manifest).evaluate(
        artifact.checkpoint, dataset.test
    )
    shown = shell("evaluate", where, "--task=digits").splitlines()
    assert shown[0].split() == ["checkpoint", "accuracy", "loss", "examples"]
    assert shown[1].split() == ["0", f"{result.accuracy:.4f}", f"{result.loss:.4f}", "200"]
    assert f"checkpoint 0: accuracy {result.accuracy:.4f}" in shell("task", "status", "digits")
    assert "measured already" in shell("evaluate", where, "--task=digits")
    again = shell("evaluate", where, "--task=digits", "--version=0").splitlines()
    assert again == shown
    refused = shell("evaluate", where, "--task=digits", "--version=7", code=1)
    assert "no version 7, the newest is 0" in refused


def test_a_task_is_turned_by_commands(shell: Shell, artifact: Artifact) -> None:
    shell("task", "create", "digits", f"--artifact={artifact.folder}")
    assert shell("task", "pause", "digits") == "task digits is paused\n"
    assert "paused" in shell("task", "list")
    assert shell("task", "resume", "digits") == "task digits is running\n"
    shown = shell("task", "rollback", "digits", "--version=0")
    assert shown.startswith("checkpoint 0 of digits has the weights of 0")
    assert "no version 4" in shell("task", "rollback", "digits", "--version=4", code=1)
    assert shell("task", "stop", "digits") == "task digits is stopped after 0 rounds\n"


def test_a_virtual_run_shows_what_phones_measured_beside_the_test_set(
    artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    scenario = replace(MEASURED, phones=20, conditions=Conditions(drop_out=0.0))
    virtual(scenario, artifact=artifact, dataset=dataset, out=tmp_path)
    first = (tmp_path / "rounds.csv").read_text().splitlines()
    header, *lines = (line.split(",") for line in first)
    by_phones = [dict(zip(header, line, strict=True))["phones_accuracy"] for line in lines]
    assert by_phones[0] == ""
    assert any(0.0 < float(one) <= 1.0 for one in by_phones if one)
    assert ">by phones</th>" in (tmp_path / "index.html").read_text()


@pytest.mark.slow
def test_phones_measure_over_http_while_the_task_trains(
    shell: Shell, artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(MEASURED.settings, rounds=6)
    live(
        replace(MEASURED, settings=settings),
        artifact=artifact,
        dataset=dataset,
        server=shell.url,  # type: ignore[attr-defined]
        admin_token=shell.token,  # type: ignore[attr-defined]
        out=tmp_path / "report",
    )
    with Session(shell.url) as session:  # type: ignore[attr-defined]
        history = AdminClient(session, token=shell.token).history("mnist")  # type: ignore[attr-defined]
    assert history.task.status is TaskStatus.FINISHED
    phones = [one for one in history.evaluations if one.source is EvaluationSource.PHONES]
    assert phones
    assert all(one.devices >= 3 and one.num_examples > 0 for one in phones)
    shell("task", "list")
    shown = shell("evaluate", f"--artifact={artifact.folder}", "--task=mnist").splitlines()
    assert len(shown) == 1 + 7
    status = shell("task", "status", "mnist")
    assert "devices" in status
    assert "examples of the operator" in status

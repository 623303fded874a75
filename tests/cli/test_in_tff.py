"""A run whose rounds TFF makes: what it refuses; it learns, and is reported like any other."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from pocketfed import cli
from pocketfed.cli.demo import scenario_of
from pocketfed.cli.simulating.in_tff import in_tff
from pocketfed.cli.simulating.scenario import Scenario
from pocketfed.device_sim.baselines import Centralised
from pocketfed.device_sim.data.dataset import Dataset
from pocketfed.device_sim.tff import interpreter
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.errors import ConfigError
from pocketfed.protocol.plan import Buffering, EvaluationSettings

ROUNDS = 3
PLAIN = replace(
    scenario_of(phones=8, seed=3, rounds=ROUNDS, target=None, limit_s=600.0), trainer="tff"
)


def with_settings(**changes: object) -> Scenario:
    return replace(PLAIN, settings=msgspec.structs.replace(PLAIN.settings, **changes))


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        (with_settings(rounds=None), "rounds="),
        (with_settings(buffer=Buffering()), "buffer="),
        (with_settings(evaluation=EvaluationSettings()), "evaluation="),
        (with_settings(codecs=("int8",)), "codecs="),
        (with_settings(max_update_norm=1.0), "max_update_norm="),
        (replace(PLAIN, baselines=(Centralised(),)), "baselines="),
    ],
)
def test_what_only_a_server_or_a_device_could_do_is_refused(
    scenario: Scenario, said: str, artifact: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        in_tff(scenario, artifact=artifact, dataset=dataset, out=tmp_path, transport="wsgi")


def test_there_is_no_server_to_reach(artifact: Artifact, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without a server"):
        in_tff(PLAIN, artifact=artifact, dataset=dataset, out=tmp_path, transport="http")


def test_an_aggregator_of_tff_needs_its_trainer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["simulate", "digits", "--artifact=none", f"--out={tmp_path}"]
    assert cli.main(["pocketfed", *words, "--tff_aggregator=robust"]) == 1
    assert "it needs --trainer=tff" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_in_tff_learns_and_is_reported(dataset: Dataset, tmp_path: Path) -> None:
    from pocketfed.model_export import export_zoo

    try:
        interpreter()
    except ConfigError as error:
        if os.environ.get("POCKETFED_REQUIRE_ALL") == "1":
            raise
        pytest.skip(str(error))
    scenario, artifact = with_settings(goal=4), export_zoo("mnist_2nn", out=tmp_path / "artifact")
    scenario = replace(scenario, tff_aggregator="compressed")
    out = tmp_path / "run"
    summary = in_tff(scenario, artifact=artifact, dataset=dataset, out=out, transport="wsgi")
    with (out / "rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["round"]) for row in rows] == list(range(ROUNDS + 1))
    assert [int(row["accepted"]) for row in rows] == [0, 4, 4, 4]
    assert float(rows[-1]["accuracy"]) > float(rows[0]["accuracy"]) + 0.2
    assert (summary.accepted, summary.bytes_up) == (12, 0)
    page = (out / "index.html").read_text()
    assert "TensorFlow Federated makes the rounds; its aggregator: compressed" in page

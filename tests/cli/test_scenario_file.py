"""Scenario files: what they say, and what is said about their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pocketfed import cli
from pocketfed.cli.scenario_file import read_scenario
from pocketfed.cli.simulating.scenario import ROUNDS
from pocketfed.device_sim.baselines import FedSgd, OnDevice
from pocketfed.device_sim.conditions import BELIEVABLE, Conditions
from pocketfed.device_sim.conditions.availability import DayAndNight
from pocketfed.device_sim.conditions.compute import TieredCompute
from pocketfed.device_sim.conditions.traces import Traced
from pocketfed.device_sim.data.sharing import Dirichlet, Zipf
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.errors import ConfigError
from pocketfed.protocol.folding import Adam

WHOLE = """
task: digits
artifact: {artifact}
population: testers
seed: 7
data:
  set: mnist
  partition: {{kind: dirichlet, alpha: 0.5}}
  test_examples: 100
plan: {{epochs: 3, learning_rate: 0.2}}
rounds:
  goal: 5
  rounds: 12
  server_optimizer: {{kind: adam, learning_rate: 0.01}}
  retry: {{min_s: 600, max_s: 1200}}
phones:
  count: 40
  like: believable
  arrive_within_s: 3600
  drop_out: 0.1
  availability: {{kind: day_and_night, share_mean: 0.3}}
  compute: tiers
  mischief: {{lie: 0.05}}
stop: {{accuracy: 0.9, hours: 48}}
"""


@pytest.fixture
def write(tmp_path: Path, artifact: Artifact):
    def write(text: str) -> Path:
        path = tmp_path / "scenario.yaml"
        path.write_text(text.format(artifact=artifact.folder))
        return path

    return write


def sentences(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as found:
        read_scenario(path)
    _, *listed = str(found.value).split("\n- ")
    return listed


def test_a_file_says_everything(write, artifact) -> None:
    found = read_scenario(write(WHOLE))
    scenario = found.scenario
    assert (scenario.task, scenario.population, scenario.seed) == ("digits", "testers", 7)
    assert (found.dataset, found.test_examples) == ("mnist", 100)
    assert scenario.partition == Dirichlet(alpha=0.5)
    assert (scenario.plan.epochs, scenario.plan.learning_rate) == (3, 0.2)
    assert (scenario.settings.goal, scenario.settings.rounds) == (5, 12)
    assert scenario.settings.server_optimizer == Adam(learning_rate=0.01)
    assert (scenario.phones, scenario.fleet.arrive_within_s) == (40, 3600.0)
    conditions = scenario.conditions
    assert conditions.availability == DayAndNight(share_mean=0.3)
    assert conditions.compute == TieredCompute()
    assert (conditions.drop_out, conditions.mischief.lie) == (0.1, 0.05)
    assert conditions.network == BELIEVABLE.network
    assert (scenario.target, scenario.limit_s) == (0.9, 48 * 3600.0)


def test_the_file_in_the_docs_is_a_scenario(tmp_path, artifact) -> None:
    docs = Path(__file__).parents[2] / "docs" / "fleet.md"
    example = docs.read_text().split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "scenario.yaml"
    path.write_text(example.replace("artifact: digits ", f"artifact: {artifact.folder} "))
    assert read_scenario(path).scenario.settings.goal == 50


def test_what_a_file_leaves_out_is_usual(write, artifact) -> None:
    scenario = read_scenario(write("{{task: digits, artifact: {artifact}}}")).scenario
    assert scenario.plan == artifact.manifest.plan
    assert scenario.settings == ROUNDS
    assert scenario.conditions == Conditions()
    assert (scenario.partition, scenario.phones, scenario.target) == (None, None, None)


def test_a_kind_may_be_its_name_alone(write) -> None:
    text = "{{task: digits, artifact: {artifact}, data: {{partition: zipf}}}}"
    assert read_scenario(write(text)).scenario.partition == Zipf()


def test_phones_may_live_by_a_trace_beside_the_file(write, tmp_path) -> None:
    (tmp_path / "week.csv").write_text("device,start_s,end_s\na,0,3600\n")
    availability = "{{kind: trace, file: week.csv}}"
    text = f"{{{{task: t, artifact: {{artifact}}, phones: {{{{availability: {availability}}}}}}}}}"
    traced = read_scenario(write(text)).scenario.conditions.availability
    assert isinstance(traced, Traced)
    assert traced.phones[0].intervals == ((0.0, 3600.0),)


def test_every_mistake_has_a_sentence_of_its_own(write) -> None:
    path = write(
        """
task: a task with spaces
artifact: nowhere
sead: 3
data: {{set: mnits, partition: {{kind: dirichlet, alfa: 0.5}}}}
plan: {{epochs: many}}
rounds: {{goal: 0, retry: {{min_s: 9, max_s: 3}}}}
phones: {{count: -1, compute: quantum}}
stop: {{accuracy: 1.5, hours: soon}}
"""
    )
    found = sentences(path)
    starts = [sentence.split(": ")[0] for sentence in found]
    assert sorted(starts) == sorted(
        [
            "file",
            "task",
            "artifact",
            "data.set",
            "data.partition",
            "plan.epochs",
            "rounds.goal",
            "rounds.retry",
            "phones.count",
            "phones.compute",
            "stop.accuracy",
            "stop.hours",
        ]
    )
    assert "file: there is no 'sead'; did you mean seed?" in found
    assert "data.partition: there is no 'alfa'; did you mean alpha?" in found


def test_mistakes_in_the_parts_of_phones_are_all_found(write) -> None:
    text = (
        "{{task: t, artifact: {artifact}, phones: {{like: believabel, network: {{speed: 3}}, "
        "compute: quantum, mischief: {{lie: often}}}}}}"
    )
    assert [one.split(": ")[0] for one in sentences(write(text))] == [
        "phones.like",
        "phones.compute",
        "phones.network",
        "phones.mischief.lie",
    ]


def test_baselines_are_a_list_of_kinds(write) -> None:
    kinds = "[fedsgd, {{kind: on_device, phones: 5}}]"
    text = "{{task: t, artifact: {artifact}, baselines: " + kinds + "}}"
    assert read_scenario(write(text)).scenario.baselines == (FedSgd(), OnDevice(phones=5))


def test_mistakes_in_baselines_are_named_by_their_place(write) -> None:
    kinds = "[fedsgd, fedprox, {{kind: on_device, phone: 5}}]"
    found = sentences(write("{{task: t, artifact: {artifact}, baselines: " + kinds + "}}"))
    assert [one.split(": ")[0] for one in found] == ["baselines[1]", "baselines[2]"]
    assert "did you mean phones?" in found[1]
    (alone,) = sentences(write("{{task: t, artifact: {artifact}, baselines: fedsgd}}"))
    assert alone == "baselines: got 'fedsgd', expected a list of kinds"


@pytest.mark.parametrize("text", ["just words", "[1, 2]", "3"])
def test_a_file_that_is_no_mapping_is_refused(write, text) -> None:
    assert "expected names with values" in sentences(write(text))[0]


def test_what_is_no_yaml_is_said_to_be_none(write) -> None:
    with pytest.raises(ConfigError, match="it is no YAML"):
        read_scenario(write("task: [unclosed"))


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_scenario(tmp_path / "gone.yaml")


def test_a_flag_beside_a_file_is_sent_into_the_file(write, capsys, tmp_path) -> None:
    words = ["pocketfed", "simulate", str(write(WHOLE)), f"--out={tmp_path}", "--epochs=2"]
    assert cli.main(words) != 0
    assert "say it in" in capsys.readouterr().err


def test_a_scenario_runs_from_its_file(write, capsys, tmp_path, dataset, monkeypatch) -> None:
    monkeypatch.setattr("pocketfed.cli.asking.fetch", lambda name, data_dir: dataset)
    parts = "phones: {{count: 12}}, rounds: {{goal: 3, rounds: 2}}"
    text = "{{task: t, artifact: {artifact}, " + parts + "}}"
    out = tmp_path / "out"
    words = ["pocketfed", "simulate", str(write(text)), f"--out={out}", "--workers=0"]
    assert cli.main(words) == 0, capsys.readouterr()
    assert (out / "report.html").exists() or list(out.glob("*.html"))

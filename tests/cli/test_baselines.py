"""Baselines beside a run: the same phones and data, trained in other ways."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from pocketfed import cli
from pocketfed.cli.demo import scenario_of
from pocketfed.cli.flags import baselines as baseline_flags
from pocketfed.cli.flags.groups import Values
from pocketfed.cli.simulating import simulation
from pocketfed.cli.simulating.simulation import live, virtual
from pocketfed.device_sim.baselines import Centralised, FedSgd, OnDevice
from pocketfed.device_sim.conditions import Conditions
from pocketfed.protocol.artifact import Artifact
from pocketfed.protocol.errors import ConfigError

ALONE = replace(
    scenario_of(phones=14, seed=3, rounds=3, target=None, limit_s=3600.0),
    conditions=Conditions(drop_out=0.1),
)
ALL = (FedSgd(learning_rate=0.5, rounds=2), Centralised(), OnDevice(phones=4, epochs=2))


@pytest.fixture(scope="module")
def out(artifact, dataset, tmp_path_factory) -> Path:
    """What a run leaves with all three baselines, and one without in a folder beside it."""
    out = tmp_path_factory.mktemp("runs")
    for name, baselines in (("alone", ()), ("beside", ALL)):
        scenario = replace(ALONE, baselines=baselines)
        virtual(scenario, artifact=artifact, dataset=dataset, out=out / name)
    return out


@pytest.fixture(scope="module")
def told(out):
    found = json.loads((out / "beside" / "summary.json").read_bytes())["baselines"]
    return {one["kind"]: one for one in found}


def rounds_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "rounds.csv").read_text().splitlines()))


def test_baselines_leave_the_run_itself_as_it_is(out) -> None:
    assert rounds_of(out / "beside") == rounds_of(out / "alone")
    assert not (out / "beside" / "baselines").exists()
    assert not (out / "beside" / "points").exists()


def test_fedsgd_is_a_run_of_the_same_fleet(told) -> None:
    fedsgd = told["fedsgd"]
    assert (fedsgd["rounds"], fedsgd["learning_rate"]) == (2, 0.5)
    assert [point["round"] for point in fedsgd["points"]] == [0, 1, 2]
    assert fedsgd["points"][2]["bytes_up"] > fedsgd["points"][1]["bytes_up"] > 0
    assert fedsgd["points"][2]["seconds"] > 0
    assert fedsgd["accuracy"] > fedsgd["points"][0]["accuracy"]


def test_centralised_sgd_trains_on_as_many_examples_as_the_phones(told, out) -> None:
    trained = sum(int(row["num_examples"]) for row in rounds_of(out / "alone"))
    centralised = told["centralised"]
    assert centralised["examples"] == trained * ALONE.plan.epochs
    assert [point["round"] for point in centralised["points"]] == [0, 1, 2, 3]
    assert centralised["points"][0]["examples"] == 0
    assert centralised["accuracy"] > 0.9
    assert centralised["bytes_up"] is None


def test_phones_alone_are_told_with_their_spread(told) -> None:
    alone = told["on_device"]
    spread = alone["spread"]
    assert spread["phones"] == 4
    assert spread["least"] <= alone["accuracy"] <= spread["most"]
    assert 0.0 < spread["deviation"] <= spread["most"] - spread["least"]


def test_all_of_it_stands_on_the_page(out) -> None:
    page = (out / "beside" / "index.html").read_text()
    for name in ("FedSGD", "centralised SGD", "on-device-only"):
        assert f"<td>{name}</td>" in page
    lines = (out / "beside" / "baselines.csv").read_text().splitlines()
    assert {row["baseline"] for row in csv.DictReader(lines)} == {
        "fedsgd",
        "centralised",
        "on_device",
    }


def test_a_run_that_dies_in_its_baselines_does_not_begin_anew(
    artifact, dataset, tmp_path, monkeypatch, out
) -> None:
    scenario = replace(ALONE, baselines=(Centralised(),))
    given = {"artifact": artifact, "dataset": dataset, "out": tmp_path}

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(simulation, "baselines_of", die)
        with pytest.raises(KeyboardInterrupt):
            virtual(scenario, **given)
    assert (tmp_path / "index.html").exists()
    assert (tmp_path / "points" / "newest.json").exists()
    virtual(scenario, **given)
    assert rounds_of(tmp_path) == rounds_of(out / "alone")


def test_fedsgd_needs_plain_sgd_and_says_so_first(artifact: Artifact, dataset, tmp_path) -> None:
    manifest = msgspec.structs.replace(artifact.manifest, optimizer="adam")
    scenario = replace(ALONE, baselines=(FedSgd(),))
    with pytest.raises(ConfigError, match="trains with adam"):
        virtual(
            scenario, artifact=replace(artifact, manifest=manifest), dataset=dataset, out=tmp_path
        )
    assert not list(tmp_path.iterdir())


def test_baselines_need_the_virtual_clock(artifact, dataset, tmp_path) -> None:
    with pytest.raises(ConfigError, match="--transport=wsgi"):
        live(
            replace(ALONE, baselines=(Centralised(),)),
            artifact=artifact,
            dataset=dataset,
            server="http://127.0.0.1:1",
            admin_token="t",
            out=tmp_path,
        )


def by_flag(text: str | None):
    values = Values()
    baseline_flags.baselines(values)
    values.mark_as_parsed()
    values.baselines = text
    return baseline_flags.baselines_of(values)


def test_the_flag_takes_kinds_with_their_numbers() -> None:
    text = "fedsgd:learning_rate=0.3,rounds=40,centralised,on_device:phones=5"
    assert by_flag(text) == (
        FedSgd(learning_rate=0.3, rounds=40),
        Centralised(),
        OnDevice(phones=5),
    )
    assert by_flag(None) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fedprox", "fedprox"),
        ("centralised:phones=3", "there is no 'phones'"),
        ("on_device:phones=0", ">= 1"),
        ("fedsgd:learning_rate=fast", "write it as NAME=0.5"),
    ],
)
def test_a_flag_that_means_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        by_flag(text)


def test_the_help_names_every_kind(capsys) -> None:
    assert cli.main(["pocketfed", "simulate", "--help"]) == 0
    shown = capsys.readouterr().out
    for word in ("--baselines", "fedsgd (learning_rate, rounds)", "centralised", "on_device"):
        assert word in shown

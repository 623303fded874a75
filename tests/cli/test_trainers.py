"""The trainers of a simulation: the phones' runtime, and the graph that is held against it."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from pocketfed.cli.demo import scenario_of
from pocketfed.cli.simulating.simulation import virtual
from pocketfed.cli.simulating.trainers import trainers_of
from pocketfed.device_sim.data.dataset import Dataset
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.model_export import export
from pocketfed.protocol.artifact import Artifact, InputScale
from pocketfed.protocol.errors import DamagedArtifact

SMALL = scenario_of(phones=12, seed=3, rounds=2, target=None, limit_s=3600.0)


@pytest.fixture(scope="module")
def artifact_with_graph(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)], name="linear"
    )
    return export(
        model,
        out=tmp_path_factory.mktemp("export") / "artifact",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        input_scale=InputScale(scale=1 / 255),
        graph=True,
    )


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "rounds.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_with_the_graph_learns_like_one_with_the_runtime_and_says_what_it_compared(
    artifact_with_graph: Artifact, dataset: Dataset, tmp_path: Path
) -> None:
    accuracies = []
    for trainer in ("litert", "graph"):
        scenario, out = replace(SMALL, trainer=trainer), tmp_path / trainer
        virtual(scenario, artifact=artifact_with_graph, dataset=dataset, out=out)
        accuracies.append([float(row["accuracy"]) for row in rows(out)])
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.011)
    assert "sampled against LiteRT" not in (tmp_path / "litert" / "index.html").read_text()
    page = (tmp_path / "graph" / "index.html").read_text()
    assert "sampled against LiteRT" in page
    assert "compared, at most 0." in page


def test_the_default_is_the_runtime_of_the_phones(artifact: Artifact) -> None:
    assert SMALL.trainer == "litert"
    assert trainers_of("litert", artifact) is LiteRTTrainer


def test_an_artifact_without_a_graph_says_how_to_get_one(artifact: Artifact) -> None:
    with pytest.raises(DamagedArtifact, match=r"has no graph\.pb; export it with --graph"):
        trainers_of("graph", artifact)

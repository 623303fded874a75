"""The setting of a simulation: the scenario with all that follows from it before it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...device_sim.data.dataset import Dataset
from ...device_sim.data.sharing import summarise, usual
from ...device_sim.ownership import Ownership
from ...device_sim.training.trainers import NewTrainer, Trainer
from ...protocol.artifact import Artifact
from .scenario import Scenario
from .trainers import trainers_of

Wrap = Callable[[NewTrainer], NewTrainer]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """``scenario`` has its number of phones, ``owned`` what each has; ``trainers`` is theirs.

    ``shared_out`` is a line for the reader, label and value.
    """

    scenario: Scenario
    artifact: Artifact
    dataset: Dataset
    owned: Ownership
    trainers: NewTrainer
    shared_out: tuple[str, str]

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        *,
        artifact: Artifact,
        dataset: Dataset,
        wrapped: Wrap = lambda trainers: trainers,
    ) -> Setting:
        """Shares out the data set; raises ConfigError, and DamagedArtifact without a graph."""
        partition = scenario.partition or usual(dataset)
        owned = partition.share(dataset, phones=scenario.phones, seed=scenario.seed)
        line = f"{dataset.name}, {partition.__struct_config__.tag}: {summarise(owned)}"
        return cls(
            scenario=replace(scenario, phones=owned.phones),
            artifact=artifact,
            dataset=dataset,
            owned=owned,
            trainers=wrapped(trainers_of(scenario.trainer, artifact)),
            shared_out=("Examples per phone", line),
        )

    def new_trainer(self) -> Trainer:
        """A trainer of the artifact's model, for this thread."""
        return self.trainers(self.artifact.model, self.artifact.manifest)

    def tier_of(self, device: int) -> str:
        """The class of speed of a phone, empty where there are none."""
        scenario = self.scenario
        return scenario.conditions.of_phone(seed=scenario.seed, device=device).speed.tier

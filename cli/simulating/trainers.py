"""Which trainer the phones of a simulation have, and what the report says about it."""

from __future__ import annotations

from ...device_sim.following.tallies import Tallies
from ...device_sim.training.equality import EqualitySample, summary_of
from ...device_sim.training.graph_trainer import GraphTrainers
from ...device_sim.training.trainers import LiteRTTrainer, NewTrainer
from ...protocol.artifact import Artifact

LITERT, GRAPH, TFF = "litert", "graph", "tff"


def trainers_of(name: str, artifact: Artifact) -> NewTrainer:
    """The phones' runtime, or the artifact's graph, which is then held against it on a sample.

    Where TFF trains, the runtime evaluates.

    Raises DamagedArtifact for an artifact that was exported without a graph.
    """
    if name in (LITERT, TFF):
        return LiteRTTrainer
    return EqualitySample(fast=GraphTrainers(artifact.graph), trusted=LiteRTTrainer)


def facts_of(trainers: NewTrainer, tallies: Tallies) -> tuple[tuple[str, str], ...]:
    """Lines of the report, label and value."""
    if not isinstance(trainers, EqualitySample):
        return ()
    return (("Trained by TensorFlow, sampled against LiteRT", summary_of(tallies.deviations)),)

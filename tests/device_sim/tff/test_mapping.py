"""What TFF can compute as a task asks, and what is refused because TFF means something else."""

import msgspec
import pytest
from pocketfed.device_sim.tff.mapping import (
    MEAN,
    OWN,
    aggregator_of,
    require_comparable,
    server_optimizer_of,
)
from pocketfed.protocol.errors import ConfigError
from pocketfed.protocol.folding import Adagrad, Adam, Mean, Median, Sgd, TrimmedMean, WeightedMean


def test_a_server_optimizer_goes_with_all_its_numbers():
    assert server_optimizer_of(Adam(tau=0.5)) == {
        "kind": "adam",
        "learning_rate": 0.01,
        "beta_1": 0.9,
        "beta_2": 0.99,
        "tau": 0.5,
    }


@pytest.mark.parametrize("chosen", [Adagrad(), Sgd(momentum=0.9, nesterov=True)])
def test_an_optimizer_that_tff_defines_otherwise_is_refused(chosen):
    with pytest.raises(ConfigError, match="TFF"):
        server_optimizer_of(chosen)


@pytest.mark.parametrize("own", [MEAN, *OWN])
def test_every_aggregator_of_tff_is_told_whether_to_weigh(own):
    assert aggregator_of(WeightedMean(), own=own)["is_weighted"]
    assert not aggregator_of(Mean(), own=own)["is_weighted"]


@pytest.mark.parametrize("chosen", [Median(), TrimmedMean()])
def test_an_aggregator_that_is_no_mean_is_refused(chosen):
    with pytest.raises(ConfigError, match="TFF has only means"):
        aggregator_of(chosen)


def test_one_norm_to_clip_to_is_enough():
    with pytest.raises(ConfigError, match="a norm of its own"):
        aggregator_of(Mean(clip_norm=1.0), own="robust")


def test_an_unknown_aggregator_is_answered_with_those_there_are():
    with pytest.raises(ConfigError, match="mean, clipped, robust, compressed"):
        aggregator_of(Mean(), own="median")


def test_plain_sgd_on_all_weights_is_comparable(artifact):
    require_comparable(artifact.manifest)


def test_a_model_that_draws_is_not_comparable(artifact_of_dropout):
    with pytest.raises(ConfigError, match="draws random numbers"):
        require_comparable(artifact_of_dropout.manifest)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"optimizer": "adam"}, "trains with adam"),
        ({"trainable": "head"}, "trains only head"),
        ({"proximal": 0.1}, "whose sign is wrong in TFF"),
    ],
)
def test_another_local_training_is_not_comparable(artifact, change, said):
    with pytest.raises(ConfigError, match=said):
        require_comparable(msgspec.structs.replace(artifact.manifest, **change))

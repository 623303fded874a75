"""An aggregator or a server optimizer on the command line: KIND:NAME=VALUE,NAME=VALUE."""

import pytest
from pocketfed.cli.flags import choices, groups, reading
from pocketfed.cli.flags.holding import holder
from pocketfed.protocol.errors import ConfigError, MalformedPayload
from pocketfed.protocol.folding import Adam, Sgd, TrimmedMean, WeightedMean
from pocketfed.protocol.plan import RoundSettings


def settings_of(*words):
    values = holder([groups.rounds])
    values(["pocketfed", *words])
    return reading.settings_of(values, default=RoundSettings())


def test_without_flags_a_round_averages() -> None:
    assert settings_of().aggregator == WeightedMean()
    assert settings_of().server_optimizer == Sgd()


def test_a_kind_alone_has_its_default_numbers() -> None:
    assert settings_of("--server_optimizer=adam").server_optimizer == Adam()


def test_numbers_follow_the_kind() -> None:
    found = settings_of("--aggregator=trimmed_mean:fraction=0.25,clip_norm=2", "--goal=3")
    assert found.aggregator == TrimmedMean(fraction=0.25, clip_norm=2.0)
    assert found.goal == 3


def test_a_choice_may_be_true() -> None:
    found = settings_of("--server_optimizer=sgd:momentum=0.9,nesterov=true").server_optimizer
    assert found == Sgd(momentum=0.9, nesterov=True)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("mean:fraction=0.1", "fraction"),
        ("average", "average"),
        ("trimmed_mean:fraction=0.5", "fraction"),
    ],
)
def test_what_the_record_refuses_is_named(text, field) -> None:
    with pytest.raises(MalformedPayload, match=field):
        settings_of(f"--aggregator={text}")


@pytest.mark.parametrize("text", ["mean:clip_norm", "mean:clip_norm=", "mean:clip_norm=long"])
def test_what_is_not_of_the_form_is_refused(text) -> None:
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        settings_of(f"--aggregator={text}")


def test_the_help_names_every_kind_and_its_numbers() -> None:
    text = choices.helps()["server_optimizer"]
    assert "sgd (learning_rate, momentum, nesterov)" in text
    assert "yogi (learning_rate, beta_1, beta_2, tau)" in text

"""A buffer on the command line: --buffer=K:NAME=VALUE,NAME=VALUE."""

import io

import msgspec
import pytest
from pocketfed.cli.flags import groups, reading
from pocketfed.cli.flags.holding import holder
from pocketfed.cli.tables import show_history
from pocketfed.protocol.admin import (
    CheckpointSummary,
    RoundPhase,
    RoundSummary,
    TaskHistory,
    TaskStatus,
    TaskSummary,
)
from pocketfed.protocol.errors import ConfigError, MalformedPayload
from pocketfed.protocol.plan import Buffering, Plan, RoundSettings
from rich.console import Console


def settings_of(*words):
    values = holder([groups.rounds])
    values(["pocketfed", *words])
    return reading.settings_of(values, default=RoundSettings())


def test_without_the_flag_there_is_no_buffer() -> None:
    assert settings_of().buffer is None


def test_k_alone_is_the_goal_of_a_buffer_with_the_default_numbers() -> None:
    found = settings_of("--buffer=10", "--minimum_fraction=0.5")
    assert (found.goal, found.minimum, found.buffer) == (10, 5, Buffering())


def test_numbers_follow_k() -> None:
    found = settings_of("--buffer=3:concurrency=8,max_staleness=4,staleness_exponent=1")
    assert found.buffer == Buffering(concurrency=8, max_staleness=4, staleness_exponent=1.0)


@pytest.mark.parametrize("text", ["ten", "", "-3", "3.5:concurrency=2", "3:concurrency"])
def test_what_is_not_of_the_form_is_refused(text) -> None:
    with pytest.raises(ConfigError, match="buffer"):
        settings_of(f"--buffer={text}")


def test_a_goal_beside_a_buffer_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        settings_of("--buffer=10", "--goal=10")


@pytest.mark.parametrize("text", ["0", "3:size=2", "3:concurrency=0"])
def test_what_the_record_refuses_is_named(text) -> None:
    with pytest.raises(MalformedPayload, match=r"goal|buffer"):
        settings_of(f"--buffer={text}")


def test_an_aggregator_without_weights_is_refused_with_it() -> None:
    with pytest.raises(MalformedPayload, match="weighted_mean or mean"):
        settings_of("--buffer=10", "--aggregator=median")


def test_the_status_of_a_buffered_task_says_how_stale_its_updates_were() -> None:
    settings = RoundSettings(goal=2, buffer=Buffering(concurrency=7))
    summary = RoundSummary(
        round=1,
        attempt=1,
        phase=RoundPhase.COMMITTED,
        goal=2,
        minimum=2,
        capacity=9,
        base_version=0,
        mean_staleness=1.5,
    )
    fresh = msgspec.structs.replace(summary, round=2, mean_staleness=None)
    checkpoint = CheckpointSummary(version=1, sha256="0" * 64, bytes=1, url="", created_at=0.0)
    task = TaskSummary(
        name="t",
        population="p",
        status=TaskStatus.RUNNING,
        plan=Plan(),
        settings=settings,
        checkpoint=checkpoint,
    )
    text = io.StringIO()
    console = Console(file=text, width=80)
    history = TaskHistory(task=task, rounds=(summary, fresh), checkpoints=(checkpoint,))
    show_history(history, console)
    printed = text.getvalue()
    assert "a buffer of 2 for 7 devices at a time" in printed
    assert "behind" in printed
    assert "1.50" in printed

"""The commands by which an operator turns a task: pause, resume, stop, roll back, evaluate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from ..protocol.admin import TaskSummary
from ..protocol.artifact import Artifact
from .flags.groups import Values
from .flags.parsing import exactly, optional_path, required
from .flags.reading import admin_of
from .tables import show_evaluations

if TYPE_CHECKING:
    from ..client import AdminClient


def group(values: Values) -> None:
    """The flag of ``task rollback``."""
    flags.DEFINE_integer(
        "version",
        None,
        "checkpoint whose weights become the newest",
        lower_bound=0,
        flag_values=values,
    )


def evaluation(values: Values) -> None:
    """The flags of ``evaluate``, beside those of the connection and the data."""
    flags.DEFINE_string("artifact", None, "folder that `export` made", flag_values=values)
    flags.DEFINE_string("task", None, "task whose checkpoints to measure", flag_values=values)
    flags.DEFINE_enum("data", "mnist", ["mnist"], "data set to measure on", flag_values=values)
    flags.DEFINE_integer(
        "version",
        None,
        "checkpoint to measure; else every one you have not measured",
        lower_bound=0,
        flag_values=values,
    )


def pause(words: list[str], values: Values) -> None:
    task = _turn(words, values, lambda admin, name: admin.pause(name))
    print(f"task {task.name} is {task.status}")


def resume(words: list[str], values: Values) -> None:
    task = _turn(words, values, lambda admin, name: admin.resume(name))
    print(f"task {task.name} is {task.status}")


def stop(words: list[str], values: Values) -> None:
    task = _turn(words, values, lambda admin, name: admin.stop(name))
    print(f"task {task.name} is {task.status} after {task.committed} rounds")


def _turn(
    words: list[str], values: Values, turn: Callable[[AdminClient, str], TaskSummary]
) -> TaskSummary:
    (name,) = exactly(words, "NAME")
    with admin_of(values) as admin:
        return turn(admin, name)


def roll_back(words: list[str], values: Values) -> None:
    (name,) = exactly(words, "NAME")
    version = int(required(values, "version"))
    with admin_of(values) as admin:
        newest = admin.roll_back(name, version=version).checkpoint
    print(f"checkpoint {newest.version} of {name} has the weights of {version}: {newest.sha256}")


def evaluate(words: list[str], values: Values) -> None:
    from ..device_sim.data.datasets import fetch
    from .evaluation import measure

    exactly(words)
    task = required(values, "task")
    artifact = Artifact.read(Path(required(values, "artifact")))
    test = fetch(values.data, data_dir=optional_path(values.data_dir)).test
    with admin_of(values) as admin:
        made = measure(admin, task, artifact=artifact, test=test, version=values.version)
        show_evaluations(list(made))

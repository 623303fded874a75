"""The commands of ``pocketfed``: each parses its flags, makes one call, and prints.

A command imports the package it needs when it runs, so that ``pocketfed --help`` and a server
without TensorFlow work.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..protocol.artifact import MODEL, Artifact
from ..protocol.plan import RoundSettings
from . import flags as groups
from .flags import Group, Values
from .tables import show_history, show_tasks, show_verification

if TYPE_CHECKING:
    from ..device_sim.report import Summary


class CommandFailed(Exception):
    """A command ran to its end and did not reach what it was to reach."""


class UsageError(Exception):
    """The words of a command are off; its usage follows."""


@dataclass(frozen=True)
class Command:
    """A verb of the command line; ``arguments`` is what the usage shows after its name."""

    name: str
    arguments: str
    summary: str
    groups: tuple[Group, ...]
    run: Callable[[list[str], Values], None]

    @property
    def synopsis(self) -> str:
        return f"pocketfed {self.name} {self.arguments}".rstrip()

    @property
    def usage(self) -> str:
        """The help text: synopsis, summary, and each flag with its default."""
        return f"usage: {self.synopsis}\n\n{self.summary}\n\n{groups.help_text(self.groups)}"


def _export(words: list[str], values: Values) -> None:
    from ..model_export import export, export_zoo, load

    (model,) = _exactly(words, "MODEL")
    out = Path(_required(values, "out"))
    if model.endswith(".keras"):
        artifact = export(
            load(Path(model)),
            out=out,
            loss=values.loss,
            optimizer=values.optimizer,
            proximal=values.proximal,
            batch_size=values.batch_size,
            evaluate_batch_size=values.evaluate_batch_size,
        )
    else:
        artifact = export_zoo(
            model,
            out=out,
            optimizer=values.optimizer,
            proximal=values.proximal,
            seed=values.seed,
        )
    manifest = artifact.manifest
    size = manifest.files[MODEL].bytes
    print(f"{out}: {manifest.name}, {manifest.weight_spec.size:,} weights, {size:,} bytes")


def _verify(words: list[str], values: Values) -> None:
    from ..model_export import verify

    (folder,) = _exactly(words, "DIR")
    verification = verify(Path(folder))
    show_verification(verification)
    verification.require()


def _serve(words: list[str], values: Values) -> None:
    from ..server import config
    from ..server.serve import serve

    _exactly(words)
    given = {setting.name: values[setting.name].value for setting in config.SETTINGS}
    serve(config.load(flags=given, environment=os.environ))


def _task_create(words: list[str], values: Values) -> None:
    (name,) = _exactly(words, "NAME")
    artifact = Artifact.read(Path(_required(values, "artifact")))
    task = groups.admin_of(values).create_task(
        name,
        artifact=artifact,
        population=values.population,
        plan=groups.plan_of(values, default=artifact.manifest.plan),
        settings=groups.settings_of(values, default=RoundSettings()),
    )
    print(f"task {task.name} is {task.status} for the population {task.population}")


def _task_list(words: list[str], values: Values) -> None:
    _exactly(words)
    show_tasks(groups.admin_of(values).tasks())


def _task_status(words: list[str], values: Values) -> None:
    (name,) = _exactly(words, "NAME")
    show_history(groups.admin_of(values).history(name))


def _task_stop(words: list[str], values: Values) -> None:
    (name,) = _exactly(words, "NAME")
    task = groups.admin_of(values).stop(name)
    print(f"task {task.name} is {task.status} after {task.committed} rounds")


def _simulate(words: list[str], values: Values) -> None:
    from ..device_sim.datasets import fetch
    from .simulation import Scenario, live, virtual

    (task,) = _exactly(words, "TASK")
    artifact = Artifact.read(Path(_required(values, "artifact")))
    dataset = fetch("mnist", data_dir=_path(values.data_dir))
    scenario = Scenario(
        task=task,
        population=values.population,
        plan=groups.plan_of(values, default=artifact.manifest.plan),
        settings=groups.settings_of(values, default=RoundSettings(goal=10)),
        phones=values.phones,
        alpha=values.alpha,
        sigma=values.sigma,
        drop_out=values.drop_out,
        seed=values.seed,
        target=values.target,
        limit_s=values.limit_s,
    )
    out = Path(_required(values, "out"))
    if values.transport == "wsgi":
        summary = virtual(scenario, artifact=artifact, dataset=dataset, out=out)
    else:
        summary = live(
            scenario,
            artifact=artifact,
            dataset=dataset,
            server=values.server,
            admin_token=groups.admin_token_of(values),
            out=out,
        )
    _conclude(summary, out)


def _demo(words: list[str], values: Values) -> None:
    from . import demo

    _exactly(words)
    out = Path(_required(values, "out"))
    scenario = demo.scenario_of(
        phones=values.phones,
        seed=values.seed,
        rounds=values.rounds,
        target=values.target,
        limit_s=values.limit_s,
    )
    _conclude(demo.run(scenario, out=out, data_dir=_path(values.data_dir)), out)


def _data_fetch(words: list[str], values: Values) -> None:
    from ..device_sim.datasets import fetch

    (name,) = _exactly(words, "NAME")
    dataset = fetch(name, data_dir=_path(values.data_dir))
    print(
        f"{dataset.name}: {len(dataset.train):,} examples to train on, {len(dataset.test):,} to "
        f"test with, from {dataset.origin}"
    )


def _conclude(summary: Summary, out: Path) -> None:
    """Prints where the report is; raises CommandFailed if the target was not reached."""
    print(
        f"\n{summary.accuracy:.2%} on the test examples after {summary.rounds} rounds and "
        f"{summary.seconds:.1f} s; report: {out / 'index.html'}"
    )
    if summary.target is not None and summary.rounds_to_target is None:
        raise CommandFailed(f"the target of {summary.target:.1%} was not reached")


def _exactly(words: list[str], *names: str) -> list[str]:
    if len(words) != len(names):
        expected = " ".join(names) or "no arguments"
        raise UsageError(f"got {' '.join(words) or 'nothing'}, expected {expected}")
    return words


def _required(values: Values, name: str) -> str:
    if not values[name].value:
        raise UsageError(f"--{name} is missing")
    return str(values[name].value)


def _path(word: str | None) -> Path | None:
    return Path(word) if word else None


COMMANDS = {
    command.name: command
    for command in (
        Command(
            "export",
            "MODEL --out=DIR",
            "Turns a Keras model (a name of the zoo, or a .keras file) into an artifact.",
            (groups.out, groups.export),
            _export,
        ),
        Command(
            "verify",
            "DIR",
            "Checks on the phone's runtime that an artifact trains like Keras.",
            (),
            _verify,
        ),
        Command("serve", "", "Runs the aggregation server.", (groups.serve,), _serve),
        Command(
            "task create",
            "NAME --artifact=DIR",
            "Opens a task on a running server: round 1 on the artifact's checkpoint.",
            (groups.connection, groups.task, groups.plan, groups.rounds),
            _task_create,
        ),
        Command("task list", "", "Lists the tasks of a server.", (groups.connection,), _task_list),
        Command(
            "task status",
            "NAME",
            "Shows every round of a task.",
            (groups.connection,),
            _task_status,
        ),
        Command(
            "task stop",
            "NAME",
            "Ends a task; its checkpoints stay.",
            (groups.connection,),
            _task_stop,
        ),
        Command(
            "simulate",
            "TASK --artifact=DIR --out=DIR",
            "Runs a fleet of phones on MNIST: in this process on a virtual clock, or over HTTP.",
            (
                groups.out,
                groups.simulate,
                groups.task,
                groups.plan,
                groups.rounds,
                groups.fleet,
                groups.data,
                groups.connection,
            ),
            _simulate,
        ),
        Command(
            "data fetch",
            "NAME",
            "Downloads and checks a data set (mnist).",
            (groups.data,),
            _data_fetch,
        ),
        Command(
            "demo",
            "--out=DIR",
            "Exports, serves and simulates 100 phones over HTTP, and writes a report.",
            (groups.out, groups.demo, groups.data),
            _demo,
        ),
    )
}

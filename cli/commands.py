"""The commands of ``pocketfed``: each parses its flags, makes one call, and prints.

A command imports the package it needs when it runs, so that ``pocketfed --help`` and a server
without TensorFlow work.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import android, control, models, operating, serving
from .flags import groups
from .flags import models as model_flags
from .flags.groups import Group, Values
from .flags.holding import WIDTH, help_text
from .flags.parsing import CommandFailed, exactly, optional_path, required
from .flags.reading import admin_token_of

if TYPE_CHECKING:
    from ..device_sim.report import Summary


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
        summary = textwrap.fill(self.summary, WIDTH)
        return f"usage: {self.synopsis}\n\n{summary}\n\n{help_text(self.groups)}"


def _owners(values: Values) -> None:
    from .flags import data as data_flags

    data_flags.owners(values)


def _baselines(values: Values) -> None:
    from .flags import baselines as baseline_flags

    baseline_flags.baselines(values)


def _simulate(words: list[str], values: Values) -> None:
    from .asking import asked
    from .simulating.in_tff import in_tff
    from .simulating.simulation import live, virtual
    from .simulating.trainers import TFF

    (word,) = exactly(words, "TASK or FILE.yaml")
    scenario, artifact, dataset = asked(word, values)
    out = Path(required(values, "out"))
    if scenario.trainer == TFF:
        summary = in_tff(
            scenario, artifact=artifact, dataset=dataset, out=out, transport=values.transport
        )
    elif values.transport == "wsgi":
        summary = virtual(scenario, artifact=artifact, dataset=dataset, out=out)
    else:
        summary = live(
            scenario,
            artifact=artifact,
            dataset=dataset,
            server=values.server,
            admin_token=admin_token_of(values),
            out=out,
        )
    _conclude(summary, out)


def _demo(words: list[str], values: Values) -> None:
    from . import demo

    exactly(words)
    out = Path(required(values, "out"))
    scenario = demo.scenario_of(
        phones=values.phones,
        seed=values.seed,
        rounds=values.rounds,
        target=values.target,
        limit_s=values.limit_s,
    )
    _conclude(demo.run(scenario, out=out, data_dir=optional_path(values.data_dir)), out)


def _data_fetch(words: list[str], values: Values) -> None:
    from ..device_sim.data.datasets import fetch

    (name,) = exactly(words, "NAME")
    dataset = fetch(name, data_dir=optional_path(values.data_dir))
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
    if summary.target is not None and summary.to_target is None:
        raise CommandFailed(f"the target of {summary.target:.1%} was not reached")


COMMANDS = {
    command.name: command
    for command in (
        Command(
            "export",
            "MODEL --out=DIR",
            "Turns a Keras model (a name of the zoo, or a .keras file) into an artifact.",
            (groups.out, model_flags.export),
            models.export,
        ),
        Command(
            "restore",
            "MODEL --checkpoint=FILE --out=FILE.keras",
            "Puts a checkpoint into the Keras model (of the zoo, or a .keras file) it belongs to.",
            (model_flags.restore,),
            models.restore,
        ),
        Command(
            "verify",
            "DIR",
            "Checks on the phone's runtime that an artifact trains like Keras.",
            (),
            models.verify,
        ),
        Command(
            "android",
            "--artifact=DIR --out=ASSETS",
            "Lays what a phone needs of an artifact into the assets of an Android app, checked.",
            (android.group,),
            android.android,
        ),
        Command("serve", "", "Runs the aggregation server.", (groups.serve,), serving.serve),
        Command(
            "audit",
            "--data_dir=DIR",
            "Holds every invariant against the folder of a stopped server; exits 1 if one breaks.",
            (groups.audit,),
            serving.audit,
        ),
        Command(
            "coordinate",
            "",
            "Moves the rounds of a PostgreSQL database on, beside servers with coordinator=none.",
            (groups.serve,),
            serving.coordinate,
        ),
        Command(
            "task create",
            "NAME --artifact=DIR",
            "Opens a task on a running server: round 1 on the artifact's checkpoint.",
            (groups.connection, groups.task, groups.plan, groups.rounds),
            operating.task_create,
        ),
        Command(
            "task list",
            "",
            "Lists the tasks of a server.",
            (groups.connection,),
            operating.task_list,
        ),
        Command(
            "task status",
            "NAME",
            "Shows every round of a task.",
            (groups.connection,),
            operating.task_status,
        ),
        Command(
            "task funnel",
            "NAME",
            "Shows how far devices come, from check-in to checkpoint, and why no further.",
            (groups.window, groups.connection),
            operating.task_funnel,
        ),
        Command(
            "task checkpoint",
            "NAME --out=FILE",
            "Downloads the newest weights of a task.",
            (groups.file, groups.connection),
            operating.task_checkpoint,
        ),
        Command(
            "task stop",
            "NAME",
            "Ends a task; its checkpoints stay.",
            (groups.connection,),
            control.stop,
        ),
        Command(
            "task pause",
            "NAME",
            "Gives no more places; devices that hold one may finish.",
            (groups.connection,),
            control.pause,
        ),
        Command(
            "task resume",
            "NAME",
            "Gives places again.",
            (groups.connection,),
            control.resume,
        ),
        Command(
            "task rollback",
            "NAME --version=V",
            "Makes the weights of an older checkpoint the newest, as a version of their own.",
            (control.group, groups.connection),
            control.roll_back,
        ),
        Command(
            "evaluate",
            "--artifact=DIR --task=NAME",
            "Measures checkpoints of a task on a test set, with the phones' runtime.",
            (control.evaluation, groups.data, groups.connection),
            control.evaluate,
        ),
        Command(
            "device show",
            "ID",
            "Shows what the server knows of a device.",
            (groups.connection,),
            operating.device_show,
        ),
        Command(
            "device revoke",
            "ID",
            "Sends a device away for good; its updates so far stay.",
            (groups.connection,),
            operating.device_revoke,
        ),
        Command(
            "simulate",
            "FILE.yaml --out=DIR | simulate TASK --artifact=DIR --out=DIR",
            "Runs a fleet of phones: in this process on a virtual clock, or over HTTP. A scenario "
            "file (docs/fleet.md) says everything at once, the flags most of it.",
            (
                groups.out,
                groups.simulate,
                groups.task,
                groups.plan,
                groups.rounds,
                _owners,
                _baselines,
                groups.fleet,
                groups.data,
                groups.connection,
            ),
            _simulate,
        ),
        Command(
            "data fetch",
            "NAME",
            "Brings a data set into the cache, or reads it from --data_dir, and checks it.",
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

"""The operator's commands: tasks and devices of a running server."""

from __future__ import annotations

from pathlib import Path

from ..protocol.artifact import Artifact
from ..protocol.plan import RoundSettings
from . import flags as groups
from .flags import Values
from .parsing import exactly, required
from .tables import show_device, show_history, show_tasks


def task_create(words: list[str], values: Values) -> None:
    (name,) = exactly(words, "NAME")
    artifact = Artifact.read(Path(required(values, "artifact")))
    task = groups.admin_of(values).create_task(
        name,
        artifact=artifact,
        population=values.population,
        plan=groups.plan_of(values, default=artifact.manifest.plan),
        settings=groups.settings_of(values, default=RoundSettings()),
    )
    print(f"task {task.name} is {task.status} for the population {task.population}")


def task_list(words: list[str], values: Values) -> None:
    exactly(words)
    show_tasks(groups.admin_of(values).tasks())


def task_status(words: list[str], values: Values) -> None:
    (name,) = exactly(words, "NAME")
    show_history(groups.admin_of(values).history(name))


def task_checkpoint(words: list[str], values: Values) -> None:
    (name,) = exactly(words, "NAME")
    out = Path(required(values, "out"))
    admin = groups.admin_of(values)
    newest = admin.history(name).task.checkpoint
    out.write_bytes(admin.download(newest))
    print(f"{out}: checkpoint {newest.version} of {name}, {newest.bytes:,} bytes")


def task_stop(words: list[str], values: Values) -> None:
    (name,) = exactly(words, "NAME")
    task = groups.admin_of(values).stop(name)
    print(f"task {task.name} is {task.status} after {task.committed} rounds")


def device_show(words: list[str], values: Values) -> None:
    (device_id,) = exactly(words, "ID")
    show_device(groups.admin_of(values).device(device_id))


def device_revoke(words: list[str], values: Values) -> None:
    (device_id,) = exactly(words, "ID")
    show_device(groups.admin_of(values).revoke_device(device_id))

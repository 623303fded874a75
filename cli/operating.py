"""The operator's commands: tasks and devices of a running server."""

from __future__ import annotations

from pathlib import Path

from ..protocol.artifact import Artifact
from ..protocol.plan import RoundSettings
from .flags.groups import Values
from .flags.parsing import exactly, required
from .flags.reading import admin_of, plan_of, settings_of
from .tables import show_device, show_funnel, show_history, show_tasks


def task_create(words: list[str], values: Values) -> None:
    (name,) = exactly(words, "NAME")
    artifact = Artifact.read(Path(required(values, "artifact")))
    with admin_of(values) as admin:
        task = admin.create_task(
            name,
            artifact=artifact,
            population=values.population,
            plan=plan_of(values, default=artifact.manifest.plan),
            settings=settings_of(values, default=RoundSettings()),
        )
    print(f"task {task.name} is {task.status} for the population {task.population}")


def task_list(words: list[str], values: Values) -> None:
    exactly(words)
    with admin_of(values) as admin:
        show_tasks(admin.tasks())


def task_status(words: list[str], values: Values) -> None:
    (name,) = exactly(words, "NAME")
    with admin_of(values) as admin:
        show_history(admin.history(name))


def task_funnel(words: list[str], values: Values) -> None:
    (name,) = exactly(words, "NAME")
    window_s = None if values.hours is None else values.hours * 3600.0
    with admin_of(values) as admin:
        show_funnel(admin.funnel(name, window_s=window_s))


def task_checkpoint(words: list[str], values: Values) -> None:
    (name,) = exactly(words, "NAME")
    out = Path(required(values, "out"))
    with admin_of(values) as admin:
        newest = admin.history(name).task.checkpoint
        out.write_bytes(admin.download(newest))
    print(f"{out}: checkpoint {newest.version} of {name}, {newest.bytes:,} bytes")


def device_show(words: list[str], values: Values) -> None:
    (device_id,) = exactly(words, "ID")
    with admin_of(values) as admin:
        show_device(admin.device(device_id))


def device_revoke(words: list[str], values: Values) -> None:
    (device_id,) = exactly(words, "ID")
    with admin_of(values) as admin:
        show_device(admin.revoke_device(device_id))

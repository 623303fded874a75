"""The operations of an operator; docs/protocol.md, "Operator"."""

from __future__ import annotations

from ....protocol import admin, errors
from .operation import OCTETS, Access, Answer, Operation

_TASK = Answer(200, "the task as it is now", admin.TaskSummary)

OPERATOR = (
    Operation(
        method="PUT",
        route="/v1/admin/blobs/<sha256>",
        name="put_blob",
        summary="Keeps bytes under their SHA-256.",
        access=Access.OPERATOR,
        body=OCTETS,
        answers=(Answer(201, "they are new"), Answer(200, "they were there")),
        problems=(errors.DigestMismatch, errors.LengthRequired),
    ),
    Operation(
        method="POST",
        route="/v1/admin/tasks",
        name="create_task",
        summary="Opens round 1 on a checkpoint.",
        access=Access.OPERATOR,
        body=admin.CreateTask,
        answers=(Answer(201, "the task", admin.TaskSummary), _TASK),
        problems=(
            errors.NotFound,
            errors.NameTaken,
            errors.SpecMismatch,
            errors.ImplausibleReport,
            errors.UnknownCodec,
        ),
    ),
    Operation(
        method="GET",
        route="/v1/admin/tasks",
        name="tasks",
        summary="Every task, oldest first.",
        access=Access.OPERATOR,
        answers=(Answer(200, "the tasks", admin.TaskList),),
    ),
    Operation(
        method="GET",
        route="/v1/admin/tasks/<name>",
        name="history",
        summary="Every attempt and every checkpoint of a task, and what was measured.",
        access=Access.OPERATOR,
        answers=(Answer(200, "the history", admin.TaskHistory),),
        problems=(errors.NotFound,),
    ),
    Operation(
        method="GET",
        route="/v1/admin/tasks/<name>/funnel",
        name="funnel",
        summary="What became of the devices that checked in.",
        access=Access.OPERATOR,
        query=("window_s",),
        answers=(Answer(200, "the funnel", admin.Funnel),),
        problems=(errors.NotFound, errors.MalformedPayload),
    ),
    *(
        Operation(
            method="POST",
            route=f"/v1/admin/tasks/<name>/{verb}",
            name=verb,
            summary=summary,
            access=Access.OPERATOR,
            answers=(_TASK,),
            problems=(errors.NotFound,),
        )
        for verb, summary in (
            ("pause", "Gives no more places; devices that hold one may finish."),
            ("resume", "Gives places again."),
            ("stop", "Ends a task."),
        )
    ),
    Operation(
        method="POST",
        route="/v1/admin/tasks/<name>/rollback",
        name="roll_back",
        summary="Makes the weights of an older checkpoint the newest, as a version of their own.",
        access=Access.OPERATOR,
        body=admin.RollBack,
        answers=(_TASK,),
        problems=(errors.NotFound,),
    ),
    Operation(
        method="POST",
        route="/v1/admin/tasks/<name>/evaluations",
        name="evaluate",
        summary="Keeps what the operator has measured of a checkpoint.",
        access=Access.OPERATOR,
        body=admin.PostEvaluation,
        answers=(
            Answer(201, "the evaluation", admin.Evaluation),
            Answer(200, "it says the same as before", admin.Evaluation),
        ),
        problems=(errors.NotFound,),
    ),
    Operation(
        method="GET",
        route="/v1/admin/devices/<device_id>",
        name="device",
        summary="What is known of a device.",
        access=Access.OPERATOR,
        answers=(Answer(200, "the device", admin.DeviceSummary),),
        problems=(errors.NotFound,),
    ),
    Operation(
        method="POST",
        route="/v1/admin/devices/<device_id>/revoke",
        name="revoke",
        summary="Sends a device away for good.",
        access=Access.OPERATOR,
        answers=(Answer(200, "the device", admin.DeviceSummary),),
        problems=(errors.NotFound,),
    ),
)

"""What the flags of the commands mean to the library."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from ...protocol.errors import ConfigError
from ...protocol.plan import Plan, RoundSettings
from . import choices
from .groups import EVALUATION_HELP, PLAN_HELP, SETTINGS_HELP, TOKEN_VARIABLE, Values

if TYPE_CHECKING:
    from ...client import AdminClient


def plan_of(values: Values, *, default: Plan) -> Plan:
    """The plan the flags ask for, on top of ``default``; raises MalformedPayload."""
    return Plan.of({**_plain(default), **_given(values, PLAN_HELP)})


def settings_of(values: Values, *, default: RoundSettings) -> RoundSettings:
    """The round settings the flags ask for; raises ProtocolError or ConfigError."""
    fields = {**_plain(default), **_given(values, SETTINGS_HELP)}
    for name in choices.helps():
        if values[name].present:
            fields[name] = choices.choice_of(name, str(values[name].value))
    if values.buffer is not None:
        if values["goal"].present:
            raise ConfigError("goal", values.goal, "--buffer says it already; leave it out")
        fields.update(choices.buffer_of(values.buffer))
    if values["retry_s"].present:
        fields["retry"] = _window(values.retry_s)
    if values["codecs"].present:
        fields["codecs"] = values.codecs
    if values.evaluate_every is not None:
        given = {name: values[f"evaluate_{name}"].value for name in EVALUATION_HELP}
        fields["evaluation"] = given
    elif values.evaluate_goal is not None:
        raise ConfigError("evaluate_goal", values.evaluate_goal, "give --evaluate_every with it")
    return RoundSettings.of(fields)


def admin_token_of(values: Values) -> str:
    """The operator's token; raises ConfigError when there is none."""
    token: str | None = values.admin_token or os.environ.get(TOKEN_VARIABLE)
    if not token:
        reason = f"give it, or set ${TOKEN_VARIABLE}; the server keeps it in admin.token"
        raise ConfigError("admin_token", "", reason)
    return token


@contextlib.contextmanager
def admin_of(values: Values) -> Iterator[AdminClient]:
    """The operator's client the flags ask for; raises ConfigError without a token."""
    from ...client import AdminClient, Session

    token = admin_token_of(values)
    with Session(values.server) as session:
        yield AdminClient(session, token=token)


def _given(values: Values, helps: dict[str, str]) -> dict[str, object]:
    return {name: values[name].value for name in helps if values[name].present}


def _plain(record: msgspec.Struct) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(record)
    return plain


def _window(words: list[str]) -> dict[str, float]:
    try:
        low, high = (float(word) for word in words)
    except ValueError as error:
        raise ConfigError("retry_s", ",".join(words), "expected two numbers: MIN,MAX") from error
    return {"min_s": low, "max_s": high}

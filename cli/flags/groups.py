"""The flags of the commands, in groups that several commands share.

A group defines absl flags on the holder it is given; ``reading`` says what its values mean.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from absl import flags

from ...protocol.plan import Plan, RoundSettings
from . import choices

if TYPE_CHECKING:
    pass

Values = flags.FlagValues
Group = Callable[[Values], None]

TOKEN_VARIABLE = "POCKETFED_ADMIN_TOKEN"  # noqa: S105  # the name of a variable
SERVER_VARIABLE = "POCKETFED_SERVER"
SHOWN_CODECS = ("float32", "float16", "int8", "int4", "topk:FRACTION")
# What an audit needs to know of a server's settings.
AUDITED = ("data_dir", "database", "keep_updates_s")

SETTINGS_HELP = {
    "goal": "reports that end a round",
    "over_selection": "devices assigned, as a multiple of the goal",
    "minimum_fraction": "share of the goal that suffices at the deadline",
    "selection_timeout_s": "seconds a round waits for devices, from the first on",
    "report_timeout_s": "seconds a round waits for reports",
    "compute_timeout_s": "seconds one device has to train",
    "upload_timeout_s": "seconds one device has to upload",
    "max_update_norm": "longest update (L2) that may become a checkpoint; any if not given",
    "rounds": "rounds to commit before the task ends; no end if not given",
}
EVALUATION_HELP = {
    "every": "devices measure every this many versions; they measure none if not given",
    "goal": "reports that end a round of measuring; else as in training",
}
PLAN_HELP = {
    "epochs": "passes over the local examples (E)",
    "batch_size": "examples per step (B)",
    "learning_rate": "step of local SGD",
    "max_examples": "local examples used in one pass, at most; caps the weight n_k",
}


def always(values: Values) -> None:
    flags.DEFINE_bool("help", False, "show this", short_name="h", flag_values=values)
    flags.DEFINE_bool("helpfull", False, "show absl's flags too", flag_values=values)
    flags.DEFINE_bool("debug", False, "show where an error came from", flag_values=values)


def out(values: Values) -> None:
    flags.DEFINE_string("out", None, "folder to write to", flag_values=values)


def file(values: Values) -> None:
    flags.DEFINE_string("out", None, "file to write", flag_values=values)


def serve(values: Values) -> None:
    from ...server.config import SETTINGS

    _of_settings(tuple(setting.name for setting in SETTINGS), values)


def audit(values: Values) -> None:
    _of_settings(AUDITED, values)


def _of_settings(names: tuple[str, ...], values: Values) -> None:
    from ...server.config import SETTINGS

    for setting in SETTINGS:
        if setting.name not in names:
            continue
        text = f"{setting.help} [{setting.shown}]" if setting.shown else setting.help
        flags.DEFINE_string(setting.name, None, text, flag_values=values)


def connection(values: Values) -> None:
    address = os.environ.get(SERVER_VARIABLE) or "http://127.0.0.1:8080"
    flags.DEFINE_string(
        "server", address, f"address of the server, else ${SERVER_VARIABLE}", flag_values=values
    )
    flags.DEFINE_string(
        "admin_token",
        None,
        f"the operator's token, else ${TOKEN_VARIABLE}; a server keeps it in admin.token of its "
        "data_dir",
        flag_values=values,
    )


def window(values: Values) -> None:
    flags.DEFINE_integer(
        "hours",
        None,
        "count the devices that checked in within so many hours; all of them if not given",
        lower_bound=1,
        flag_values=values,
    )


def task(values: Values) -> None:
    flags.DEFINE_string("artifact", None, "folder that `export` made", flag_values=values)
    flags.DEFINE_string("population", "demo", "devices that may serve", flag_values=values)


def rounds(values: Values) -> None:
    _of_record(RoundSettings, SETTINGS_HELP, values)
    for name, text in choices.helps().items():
        flags.DEFINE_string(name, choices.default(name), text, flag_values=values)
    for name, text in EVALUATION_HELP.items():
        flags.DEFINE_integer(f"evaluate_{name}", None, text, lower_bound=1, flag_values=values)
    flags.DEFINE_string("buffer", None, choices.buffer_help(), flag_values=values)
    flags.DEFINE_list(
        "retry_s",
        None,
        "window MIN,MAX in which devices come back, in seconds; without it a simulation takes "
        "60,300 and a server paces devices by how many there are",
        flag_values=values,
    )
    flags.DEFINE_list(
        "codecs",
        list(RoundSettings().codecs),
        f"encodings of a delta that the task takes, the best first: {', '.join(SHOWN_CODECS)}, "
        "alone or with +zlib or +zstd",
        flag_values=values,
    )


def plan(values: Values) -> None:
    _of_record(Plan, PLAN_HELP, values)


def data(values: Values) -> None:
    flags.DEFINE_string(
        "data_dir",
        None,
        "folder with the files of the data set, instead of the network",
        flag_values=values,
    )


def fleet(values: Values) -> None:
    flags.DEFINE_float(
        "drop_out",
        0.06,
        "share of sessions in which a phone falls silent",
        lower_bound=0.0,
        upper_bound=1.0,
        flag_values=values,
    )
    flags.DEFINE_integer("seed", 0, "seed of everything random", flag_values=values)


def simulate(values: Values) -> None:
    flags.DEFINE_enum(
        "transport",
        "wsgi",
        ["wsgi", "http"],
        "wsgi: a server in this process and a virtual clock; http: --server and the real clock",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "trainer",
        "litert",
        ["litert", "graph", "tff"],
        "litert: phones train the model file in LiteRT, as real ones do; graph: in TensorFlow, of "
        "an artifact exported with --graph, and some of them in both; tff: TensorFlow Federated "
        "makes the rounds, without a server (docs/tff.md)",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "tff_aggregator",
        "mean",
        ["mean", "clipped", "robust", "compressed"],
        "with --trainer=tff: the mean of --aggregator, or with TFF's adaptive clipping, that and "
        "zeroing, or these and 8 bits",
        flag_values=values,
    )
    flags.DEFINE_string(
        "workers",
        None,
        "processes that train, or ray for actors of a Ray cluster; 0 is this process alone, and "
        "one a core if not given; with http, threads. The result is the same",
        flag_values=values,
    )
    _ends(values, target=None, limit_s=86_400.0)


def demo(values: Values) -> None:
    flags.DEFINE_integer("phones", 100, "phones in the fleet", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("rounds", 60, "rounds at most", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("seed", 0, "seed of everything random", flag_values=values)
    _ends(values, target=0.96, limit_s=300.0)


def _ends(values: Values, *, target: float | None, limit_s: float) -> None:
    flags.DEFINE_float(
        "target",
        target,
        "accuracy on the test examples at which to stop",
        lower_bound=0.0,
        upper_bound=1.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "limit_s",
        limit_s,
        "seconds of the fleet's clock after which to stop",
        lower_bound=0.0,
        flag_values=values,
    )


def _of_record(kind: type[msgspec.Struct], helps: dict[str, str], values: Values) -> None:
    for field in msgspec.structs.fields(kind):
        if field.name not in helps:
            continue
        define = (
            flags.DEFINE_float
            if field.type is float or "float" in str(field.type)
            else (flags.DEFINE_integer)
        )
        define(field.name, field.default, helps[field.name], flag_values=values)

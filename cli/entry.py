"""``pocketfed …``: the rim between a shell and the library.

Reads the command line with absl, runs one command, and turns errors into one sentence and an exit
code: 0 done, 1 failed, 2 wrong usage. What the commands are is in ``commands``.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from absl import flags as absl_flags
from absl import logging

from .. import __version__
from ..protocol.errors import PocketFedError
from .commands import COMMANDS, Command
from .flags.holding import holder
from .flags.parsing import CommandFailed, UsageError

_EXTRAS = {
    "tensorflow": "export",
    "keras": "export",
    "safetensors": "export",
    "ai_edge_litert": "devices",
    "matplotlib": "devices",
    "pooch": "devices",
    "yaml": "devices",
    "flask": "server",
    "sqlalchemy": "server",
    "alembic": "server",
    "waitress": "server",
    "gunicorn": "scaled",
    "gevent": "scaled",
    "psycopg": "scaled",
    "prometheus_client": "server",
    "structlog": "server",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = list(sys.argv if argv is None else argv)
    command, rest = _find(words[1:])
    if command is None:
        return _without_command(rest)
    is_debugging = "--debug" in rest
    try:
        values = holder(command.groups)
        arguments = values([command.name, *rest])[1:]
        if values.help:
            print(command.usage)
            return 0
        if values.helpfull:
            print(command.usage, values.get_help(), sep="\n")
            return 0
        is_debugging = values.debug
        absl_flags.FLAGS.mark_as_parsed()
        logging.use_absl_handler()
        command.run(arguments, values)
    except (absl_flags.Error, UsageError) as error:
        print(f"pocketfed {command.name}: {error}", file=sys.stderr)
        print(f"usage: {command.synopsis} [--flags]; --help shows them", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except Exception as error:  # the outermost rim: a user never meets a traceback unasked
        if is_debugging:
            traceback.print_exc()
        print(f"pocketfed {command.name}: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


def _find(words: list[str]) -> tuple[Command | None, list[str]]:
    """Splits off the longest command name the words begin with."""
    for length in (2, 1):
        command = COMMANDS.get(" ".join(words[:length]))
        if command is not None:
            return command, words[length:]
    return None, words


def _without_command(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        print(f"pocketfed {__version__}")
        return 0
    if words[:1] == ["--helpfull"]:
        print(_overview())
        for command in COMMANDS.values():
            print("\n" + command.usage)
        return 0
    if not words or words[0] in ("--help", "-h", "help"):
        print(_overview())
        return 0
    group = [name for name in COMMANDS if name.split()[0] == words[0]]
    known = f"use one of: {', '.join(group)}" if group else "see pocketfed --help"
    print(f"pocketfed: there is no command {' '.join(words[:2])!r}; {known}", file=sys.stderr)
    return 2


def _overview() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "pocketfed: federated learning for phones",
            "",
            "usage: pocketfed COMMAND [arguments] [--flags]",
            "",
            *lines,
            "",
            "COMMAND --help shows the flags of a command, --helpfull those of absl too;",
            "--flagfile=FILE reads flags from a file, --verbosity=1 logs more, and",
            "--debug shows where an error came from.",
        ]
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, PocketFedError | CommandFailed):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        return f"this needs {error.name}: pip install 'pocketfed[{_EXTRAS[error.name]}]'"
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"

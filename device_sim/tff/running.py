"""Running TFF: its own interpreter, over files, with a time limit and an end for all it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...protocol.errors import ConfigError, WorkerLost

SCRIPT = Path(__file__).with_name("rounds.py")
# The repository root is the package: `make tff` puts the environment there.
PYTHON = Path(__file__).parents[2] / ".venv-tff" / "bin" / "python"
VARIABLE = "POCKETFED_TFF_PYTHON"
LIMIT_S = 3600.0
_LAST = 2000


def interpreter() -> Path:
    """The Python that has TFF: $POCKETFED_TFF_PYTHON, or that of ``make tff``.

    Raises ConfigError when there is none.
    """
    named = os.environ.get(VARIABLE)
    python = Path(named) if named else PYTHON
    if not python.exists():
        reason = f"there is no {python}; run make tff, or name a Python with TFF by ${VARIABLE}"
        raise ConfigError("trainer", "tff", reason)
    return python


def make_rounds(folders: Sequence[Path], *, log: Path, limit_s: float = LIMIT_S) -> None:
    """Has one process of TFF make the rounds of every folder, see ``files``.

    It writes to ``log``, for a pipe would stay open with what TFF leaves running; its whole process
    group is ended. Raises ConfigError without an environment, and WorkerLost when TFF fails or
    takes more than ``limit_s`` seconds.
    """
    command = [str(interpreter()), str(SCRIPT), *map(str, folders)]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with log.open("w") as written:
        process = subprocess.Popen(  # noqa: S603  # our own script
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            raise WorkerLost(f"TFF took more than {limit_s:g} s; {log} has what it said") from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        raise WorkerLost(f"TFF ended with {code}: {_last_line(log)}; {log} has what it said before")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace")[-_LAST:].strip().splitlines()
    return lines[-1] if lines else "it said nothing"

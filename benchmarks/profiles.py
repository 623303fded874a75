"""The two ways a server runs, each started as an operator starts it, on data of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from load import Load
from processes import cpu_s, family, resident_mib

WORKERS = 2


@dataclass(frozen=True)
class Running:
    """A running server: what devices ask of it, and the processes that do the work."""

    name: str
    load: Load
    process_ids: tuple[int, ...]

    def cpu_s(self) -> float:
        """Seconds of processor time that its processes have taken, their children included."""
        return cpu_s(family(self.process_ids))

    def rest(self) -> None:
        """Waits until the server has nothing left to do."""
        before_s, now_s = -1.0, self.cpu_s()
        while now_s - before_s > 0.02:
            time.sleep(0.5)
            before_s, now_s = now_s, self.cpu_s()

    def resident_mib(self) -> float:
        """The memory of the server's first process now, in MiB."""
        return resident_mib(self.process_ids[0])


@contextmanager
def embedded(data: Path, *flags: str) -> Iterator[Running]:
    """One process with an SQLite file."""
    with _started("serve", f"--data_dir={data}", "--port=0", *flags) as process:
        load = _listening(data, process)
        yield Running("embedded", load, (process.pid,))


@contextmanager
def scaled(data: Path) -> Iterator[Running | None]:
    """gunicorn's processes and one coordinator on a private PostgreSQL, or None without one."""
    postgresql = _postgresql()
    binaries = postgresql.installed()
    if binaries is None:
        sys.stdout.write(f"scaled: skipped: {postgresql.MISSING}\n")
        yield None
        return
    with ExitStack() as stack:
        cluster = stack.enter_context(postgresql.cluster(binaries))
        shared = (f"--data_dir={data}", f"--database={cluster.create()}")
        alone = ("--port=0", f"--workers={WORKERS}", "--coordinator=none")
        server = stack.enter_context(_started("serve", *shared, *alone))
        load = _listening(data, server)
        coordinator = stack.enter_context(_started("coordinate", *shared))
        yield Running("scaled", load, (server.pid, coordinator.pid, cluster.process_id))


@contextmanager
def _started(command: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours that keeps no update longer than it must, so that the disk suffices."""
    program = [sys.executable, "-m", "pocketfed.cli", command, "--keep_updates_s=0", *flags]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def _listening(data: Path, process: subprocess.Popen[bytes]) -> Load:
    """What devices ask of a server, once it answers."""
    # Workers make the token after the address is known.
    address, token = data / "server.json", data / "admin.token"
    give_up_at = time.monotonic() + 30.0
    while not (address.exists() and token.exists()):
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise RuntimeError("the server did not start")
        time.sleep(0.05)
    url = urlsplit(json.loads(address.read_text())["url"])
    return Load(url.hostname or "", url.port or 0, token.read_text().strip())


def _postgresql() -> ModuleType:
    """The tests' private PostgreSQL."""
    path = Path(__file__).parents[1] / "tests" / "server" / "postgresql.py"
    spec = importlib.util.spec_from_file_location("postgresql", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

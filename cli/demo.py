"""The demo: a model exported, a real server, a hundred phones over HTTP, and a report."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ..client import Session
from ..device_sim.conditions import Conditions
from ..device_sim.data.datasets import fetch
from ..device_sim.data.sharing import Dirichlet
from ..device_sim.report import Summary
from ..protocol.errors import PocketFedError, Unavailable
from ..protocol.plan import Plan, RetryWindow, RoundSettings
from .simulating.scenario import Scenario
from .simulating.simulation import live

MODEL = "mnist_2nn"
LOG = "server.log"
START_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0


def scenario_of(
    *, phones: int, seed: int, rounds: int, target: float | None, limit_s: float
) -> Scenario:
    """The demo's scenario: unbalanced and non-IID digits, ten reports a round.

    Everything waits seconds where a real population waits minutes.
    """
    return Scenario(
        task="mnist",
        population="demo",
        plan=Plan(epochs=2, batch_size=10, learning_rate=0.1),
        settings=RoundSettings(
            goal=10,
            over_selection=1.3,
            rounds=rounds,
            selection_timeout_s=10.0,
            report_timeout_s=10.0,
            compute_timeout_s=5.0,
            upload_timeout_s=5.0,
            retry=RetryWindow(min_s=0.2, max_s=1.0),
        ),
        phones=phones,
        partition=Dirichlet(alpha=1.0, sigma=1.0),
        conditions=Conditions(drop_out=0.06),
        seed=seed,
        target=target,
        limit_s=limit_s,
    )


def run(scenario: Scenario, *, out: Path, data_dir: Path | None) -> Summary:
    """Runs the demo from nothing and leaves its report, artifact and server folder in ``out``."""
    from ..model_export import export_zoo

    _say("Fetching MNIST ...")
    dataset = fetch("mnist", data_dir=data_dir)
    _say(f"Exporting {MODEL} to TFLite and comparing its steps with Keras ...")
    artifact = export_zoo(MODEL, out=out / "artifact", seed=scenario.seed)
    shutil.rmtree(out / "server", ignore_errors=True)
    with server_process(out / "server") as url:
        _say(f"Server at {url}; {scenario.phones} phones check in ...\n")
        return live(
            scenario,
            artifact=artifact,
            dataset=dataset,
            server=url,
            admin_token=(out / "server" / "admin.token").read_text().strip(),
            out=out,
        )


@contextlib.contextmanager
def server_process(data_dir: Path) -> Iterator[str]:
    """Runs ``pocketfed serve`` on a free port as a process of its own; gives its address."""
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", __package__, "serve"]
    # Phones that come back within a second are what a demo is for.
    flags = [f"--data_dir={data_dir}", "--port=0", "--check_ins_per_h=0"]
    with (data_dir / LOG).open("a") as log:
        process = subprocess.Popen([*command, *flags], stdout=log, stderr=log)  # noqa: S603
        try:
            yield _address(process, data_dir)
        finally:
            _end(process, data_dir)


def _end(process: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Stops the server; raises Unavailable if it has ended by itself before."""
    if process.poll() is not None:
        raise Unavailable(
            f"the server ended by itself, exit code {process.returncode}: {_last_line(data_dir)}"
        )
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _last_line(data_dir: Path) -> str:
    lines = (data_dir / LOG).read_text().splitlines()
    return f"{lines[-1] if lines else 'no output'} ({data_dir / LOG})"


def _address(process: subprocess.Popen[bytes], data_dir: Path) -> str:
    """Waits until the server is ready; raises Unavailable with where to look."""
    ends = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(OSError, ValueError, PocketFedError):
            announced = json.loads((data_dir / "server.json").read_text())
            if announced["pid"] == process.pid:
                with Session(announced["url"]) as session:
                    session.exchange("GET", "/readyz")
                return str(announced["url"])
        time.sleep(0.05)
    raise Unavailable(f"the server did not start: {_last_line(data_dir)}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

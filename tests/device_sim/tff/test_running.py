"""Another interpreter over files: what it does wrong is said, and nothing of it is left."""

import os
import sys
import time
from pathlib import Path

import pytest
from pocketfed.device_sim.tff import interpreter, make_rounds, running
from pocketfed.protocol.errors import ConfigError, WorkerLost

FAILS = "raise SystemExit('no such job')"
# A child that keeps the standard output, and would be there for a minute.
LEAVES = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(str(child.pid))
"""
STAYS = LEAVES + "child.wait()"


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Runs a script in place of the rounds."""
    monkeypatch.setenv(running.VARIABLE, sys.executable)

    def run(script: str, *, limit_s: float = 60.0) -> None:
        (tmp_path / "script.py").write_text(script)
        monkeypatch.setattr(running, "SCRIPT", tmp_path / "script.py")
        make_rounds([tmp_path / "child"], log=tmp_path / "log", limit_s=limit_s)

    return run


def has_ended(process_id: int) -> bool:
    """Whether a process is gone, or only its parent has not yet noticed."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def ends_soon(process_id: int) -> bool:
    for _ in range(100):
        if has_ended(process_id):
            return True
        time.sleep(0.05)
    return False


def test_without_an_environment_it_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.setenv(running.VARIABLE, str(tmp_path / "python"))
    with pytest.raises(ConfigError, match="make tff"):
        interpreter()


def test_a_failure_is_told_with_the_last_line_and_where_the_others_are(play, tmp_path):
    with pytest.raises(WorkerLost, match=f"ended with 1: no such job; {tmp_path / 'log'}"):
        play(FAILS)


def test_what_a_finished_run_leaves_running_is_ended(play, tmp_path):
    play(LEAVES)
    assert ends_soon(int((tmp_path / "child").read_text()))


def test_a_run_that_takes_too_long_is_ended_with_all_it_started(play, tmp_path):
    with pytest.raises(WorkerLost, match="more than 3 s"):
        play(STAYS, limit_s=3.0)
    assert ends_soon(int((tmp_path / "child").read_text()))


def test_it_sees_nothing_of_this_environment(play, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    play("import os, sys; sys.exit('PYTHONPATH' in os.environ)")

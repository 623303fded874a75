"""What a user installs: one top-level name, and a command that runs away from the checkout."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source") / "pocketfed"
    # Building writes *.egg-info beside setup.py: build a copy of what git knows, or would know.
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--disable-pip-version-check",
            "-w",
            out,
            source,
        ],
        check=True,
        timeout=300,
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pocketfed` from the wheel, in an environment that borrows this one's libraries."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    site = next(home.glob("lib/python3*/site-packages"))
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--disable-pip-version-check",
            "--target",
            site,
            wheel,
        ],
        check=True,
        timeout=300,
    )
    return home


def test_the_wheel_puts_one_name_into_site_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"pocketfed"}


def test_the_wheel_holds_the_product_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"pocketfed/__init__.py", "pocketfed/cli/entry.py", "pocketfed/server/app.py"} <= names
    assert any(name.startswith("pocketfed/server/migrations/versions/") for name in names)
    page = {"templates/page.html", "templates/login.html", "static/page.js", "static/page.css"}
    assert {f"pocketfed/server/web/page/{name}" for name in page} <= names
    tff = {"rounds.py", "pins.txt", "overrides.txt"}
    assert {f"pocketfed/device_sim/tff/{name}" for name in tff} <= names
    strays = [name for name in names if "/tests/" in name or name.endswith("setup.py")]
    assert strays == []


def test_the_command_runs_from_the_wheel_outside_the_checkout(command: Path) -> None:
    done = subprocess.run(
        [command / "bin" / "python", "-m", "pocketfed.cli", "--help"],
        cwd=command,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert "task create" in done.stdout


def test_the_product_runs_from_the_wheel(command: Path) -> None:
    script = "import pocketfed, pathlib; print(pathlib.Path(pocketfed.__file__).parent)"
    done = subprocess.run(
        [command / "bin" / "python", "-c", script],
        cwd=command,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert str(command) in done.stdout


def test_help_needs_neither_tensorflow_nor_flask() -> None:
    script = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'flask', 'sqlalchemy', 'ai_edge_litert'):\n"
        "    sys.modules[name] = None\n"
        "from pocketfed.cli import main\n"
        "sys.exit(main(['pocketfed', '--help']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr

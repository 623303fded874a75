"""The arrows of docs/architecture.md hold, and files stay short enough to read."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Package -> the packages of ours it may import.
ARROWS = {
    "protocol": set(),
    "client": {"protocol"},
    "runtime": {"protocol"},
    "model_export": {"protocol", "runtime"},
    "server": {"protocol"},
    "device_sim": {"protocol", "client", "runtime"},
    "cli": {"protocol", "client", "model_export", "server", "device_sim"},
    "paper": {"protocol", "model_export", "device_sim", "cli"},
}
# Third-party name -> the places that may import it; a folder stands for all in it.
CONFINED = {
    "tensorflow": [
        "model_export",
        "device_sim/training/graph_trainer.py",
        "device_sim/tff/rounds.py",
    ],
    "tensorflow_federated": ["device_sim/tff/rounds.py"],
    "keras": ["model_export"],
    "flask": ["server/app.py", "server/web", "server/wsgi.py"],
    "prometheus_client": ["server/watch"],
    "structlog": ["server/watch"],
    "sqlalchemy": ["server/store", "server/migrations"],
    "alembic": ["server/store", "server/migrations"],
    "boto3": ["server/blobs/s3_place.py"],
    "botocore": ["server/blobs/s3.py", "server/blobs/s3_place.py"],
    "waitress": ["server/running/serve.py"],
    "ray": ["server/folding/workers.py", "device_sim/workers/ray_actors.py"],
    "gunicorn": ["server/running/processes.py"],
    "psycopg": ["server/store"],
    "ai_edge_litert": ["runtime", "model_export/proving/lint.py", "model_export/compact"],
    "httpx": ["client", "device_sim", "cli"],
    "matplotlib": ["device_sim/report"],
    "tensorboardX": ["device_sim/report/events.py"],
}
# Files over 300 lines, each with its reason.
LONG: dict[str, str] = {
    "protocol/errors.py": "one tree, drawn once: who must move next",
}
# Not ours; `external` is where Bazel lays the environment.
NOT_OURS = {".venv", ".venv-tff", "build", "external", ".git", ".hypothesis"}

PRODUCT = sorted(path for package in ARROWS for path in (ROOT / package).rglob("*.py")) + sorted(
    ROOT.glob("*.py")
)


@cache
def _imports(path: Path) -> tuple[tuple[int, str], ...]:
    """(level, dotted name) of every import statement; level 0 is absolute."""
    return tuple(_read_imports(path))


def _read_imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
            if node.module is None:
                yield from ((node.level, alias.name) for alias in node.names)


def _own_targets(path: Path) -> set[str]:
    """The packages of ours that a file reaches by relative import."""
    here = path.relative_to(ROOT).parts[:-1]
    reached = set()
    for level, name in _imports(path):
        if level:
            full = [*here[: len(here) - level + 1], *name.split(".")]
            reached.add(full[0])
    return reached & set(ARROWS)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", ARROWS)
def test_a_package_imports_only_what_its_arrows_allow(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert _own_targets(path) <= ARROWS[package] | {package}, _name(path)


@pytest.mark.parametrize("library", CONFINED)
def test_a_library_stays_in_its_places(library: str) -> None:
    strays = {
        _name(path)
        for path in PRODUCT
        for level, name in _imports(path)
        if level == 0
        and name.split(".")[0] == library
        and not any(
            _name(path) == place or _name(path).startswith(place + "/")
            for place in CONFINED[library]
        )
    }
    assert strays == set()


def test_product_code_imports_its_own_packages_relatively() -> None:
    own = {*ARROWS, "pocketfed"}
    strays = {
        _name(path)
        for path in PRODUCT
        for level, name in _imports(path)
        if level == 0 and name.split(".")[0] in own
    }
    assert strays == set()


def test_files_stay_under_300_lines() -> None:
    long = {_name(path) for path in PRODUCT if len(path.read_text().splitlines()) > 300}
    assert long == set(LONG)


def test_functions_stay_under_50_lines() -> None:
    long = {
        f"{_name(path)}:{node.name}"
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= 50
    }
    assert long == set()


@pytest.mark.parametrize("package", ARROWS)
def test_a_package_offers_at_most_ten_names(package: str) -> None:
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    offered = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    assert all(len(names) <= 10 for names in offered)


def test_no_file_speaks_of_the_machine_it_was_written_on() -> None:
    texts = [
        path
        for pattern in ("*.py", "*.md", "*.toml", "*.txt", "Makefile", "*.kt", "*.yaml")
        for path in ROOT.rglob(pattern)
        if not NOT_OURS & set(path.relative_to(ROOT).parts)
    ]
    workplace = "/" + "work" + "/"
    assert [_name(path) for path in texts if workplace in path.read_text()] == []

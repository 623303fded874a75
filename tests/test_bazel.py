"""BUILD files say what the code says: which files there are, what imports what, what is tested."""

import ast
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pocketfed
import pytest
from pocketfed.model_export.bundling import laying
from pocketfed.protocol.artifact import MANIFEST

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
# Tests that Bazel does not run -> why; a folder stands for all in it that no suite names.
LEFT_OUT = {
    "test_bazel.py": "reads BUILD files, which no target has",
    "test_documentation.py": "slow: exports and trains a model",
    "test_packaging.py": "slow: builds the wheel from what git knows",
    "cli": "minutes: whole simulations",
    "model_export": "minutes: traces and converts every kind of layer",
    "device_sim": "minutes: whole fleets train",
    "device_sim/tff": "needs an environment of its own",
    "server": "minutes: restarts, loads, other databases",
    "server/page": "needs a browser",
}


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


architecture = _load(TESTS / "test_architecture.py")
ARROWS: dict[str, set[str]] = architecture.ARROWS


@dataclass(frozen=True)
class Call:
    """A rule or a directive in a file of Bazel's."""

    kind: str
    words: tuple[Any, ...]
    how: dict[str, Any]


@dataclass
class Names(dict[str, Any]):
    """What a file of Bazel's may name: its language is a part of Python, and every call is kept."""

    folder: Path
    calls: list[Call] = field(default_factory=list)

    def __missing__(self, name: str) -> Callable[..., Any]:
        return self._glob if name == "glob" else self._kept(name)

    def _kept(self, kind: str) -> Callable[..., Any]:
        def call(*words: Any, **how: Any) -> Any:
            self.calls.append(Call(kind, words, how))
            return call

        return call

    def _glob(self, patterns: list[str], exclude: tuple[str, ...] = (), **_: bool) -> list[str]:
        def found(pattern: str) -> set[Path]:
            return {path for path in self.folder.glob(pattern) if path.is_file()}

        kept = set[Path]().union(*map(found, patterns)) - set[Path]().union(*map(found, exclude))
        return sorted(path.relative_to(self.folder).as_posix() for path in kept)


def calls(path: str) -> list[Call]:
    """What a file of Bazel's calls, in its order."""
    names = Names((ROOT / path).parent)
    exec(compile((ROOT / path).read_text(), path, "exec"), {}, names)
    return names.calls


def only(kind: str, path: str) -> Call:
    """The one call of a kind in a file of Bazel's."""
    (found,) = (call for call in calls(path) if call.kind == kind)
    return found


def library(package: str) -> Call:
    return only("py_library", f"{package}/BUILD")


def packages(labels: list[str]) -> set[str]:
    """The packages of ours among labels such as `//cli:cli_lib`."""
    return {label.removeprefix("//").split(":")[0] for label in labels} & set(ARROWS)


def imports(path: Path) -> set[str]:
    """The packages of ours that a file of tests imports, as `pocketfed.server`."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    words = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    words |= {
        f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and not node.level
        for alias in node.names
    }
    return {word.split(".")[1] for word in words if word.startswith("pocketfed.")} & set(ARROWS)


SUITES = {call.how["name"]: call.how for call in calls("tests/BUILD") if call.kind == "suite"}
RUN = {file for suite in SUITES.values() for file in suite["srcs"]}


@pytest.mark.parametrize("package", ARROWS)
def test_a_library_has_every_python_file_of_its_package(package: str) -> None:
    files = {path.relative_to(ROOT / package).as_posix() for path in (ROOT / package).rglob("*.py")}
    assert set(library(package).how["srcs"]) == files


@pytest.mark.parametrize("package", ARROWS)
def test_a_library_depends_on_what_its_package_imports(package: str) -> None:
    imported = set[str]().union(*map(architecture._own_targets, (ROOT / package).rglob("*.py")))
    assert packages(library(package).how["deps"]) == imported - {package}
    assert "//:pocketfed" in library(package).how["deps"]


@pytest.mark.parametrize("package", ARROWS)
def test_the_arrows_to_a_package_are_who_sees_its_library(package: str) -> None:
    seen_by = library(package).how.get("visibility")
    if seen_by is None:
        seen_by = only("package", f"{package}/BUILD").how["default_visibility"]
    arrows = {f"//{other}:__pkg__" for other, reached in ARROWS.items() if package in reached}
    assert sorted(seen_by) == sorted({*arrows, "//tests:__pkg__"})


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_depends_on_what_its_tests_import(name: str) -> None:
    imported = set[str]().union(*(imports(TESTS / file) for file in SUITES[name]["srcs"]))
    # The test of the architecture imports none of ours and reads them all.
    assert packages(SUITES[name]["deps"]) == (imported or set(ARROWS))


def test_every_test_is_in_a_suite_or_left_out_for_a_reason() -> None:
    others = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")} - RUN
    reasons = {
        file: max((part for part in LEFT_OUT if f"{file}/".startswith(part + "/")), default="")
        for file in others
    }
    assert [file for file, reason in reasons.items() if not reason] == []
    assert set(reasons.values()) == set(LEFT_OUT)


def test_workspace_module_and_package_have_one_name_and_version() -> None:
    module = only("module", "MODULE.bazel")
    assert only("workspace", "WORKSPACE").how["name"] == module.how["name"] == pocketfed.__name__
    assert module.how["version"] == pocketfed.__version__


def test_workspace_and_module_take_python_from_the_same_place() -> None:
    old, new = (only("register_toolchains", path) for path in ("WORKSPACE", "MODULE.bazel"))
    assert old.words == new.words


def test_the_workspace_takes_nothing_from_a_network() -> None:
    used = calls("WORKSPACE")
    assert {call.kind for call in used} == {
        "load",
        "local_repository",
        "python_environment",
        "register_toolchains",
        "workspace",
    }
    for call in used:
        if call.kind == "local_repository":
            itself = only("workspace", f"{call.how['path']}/WORKSPACE")
            assert itself.how["name"] == call.how["name"]


def test_an_asset_target_has_the_files_that_are_laid() -> None:
    names: dict[str, Any] = {}
    exec((ROOT / "android_assets" / "assets.bzl").read_text(), names)
    assert names["FILES"] == sorted({MANIFEST, *laying.SHIPPED, laying.LICENCE, laying.SUMS})

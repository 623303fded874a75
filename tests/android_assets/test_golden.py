"""Golden files for clients in other languages are what server and fleet make of them today."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"golden_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def conversations() -> ModuleType:
    pytest.importorskip("moto.server")
    return load(GOLDEN / "conversations" / "generate.py")


@pytest.fixture(scope="module")
def store(conversations: ModuleType) -> Iterator[str]:
    with conversations.empty_store() as address:
        yield address


NAMES = sorted(path.stem for path in (GOLDEN / "conversations").glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_the_server_still_answers_so(name, conversations, store, tmp_path) -> None:
    golden = json.loads((GOLDEN / "conversations" / f"{name}.json").read_text())
    assert conversations.conversation(name, tmp_path, store=store) == golden


def test_every_script_has_a_file(conversations) -> None:
    assert sorted(conversations.SCRIPTS) == NAMES


def test_the_fleet_still_retries_so() -> None:
    retrying = load(GOLDEN / "retrying.py")
    assert retrying.FILE.read_text() == retrying.text()

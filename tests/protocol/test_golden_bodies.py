"""The golden bodies decode to the bit or are refused with their code."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pocketfed.protocol.codecs import codec_named
from pocketfed.protocol.errors import ProtocolError
from pocketfed.protocol.weights import WeightEntry, Weights, WeightSpec

GOLDEN = Path(__file__).parents[1] / "golden" / "wire"
INDEX = json.loads((GOLDEN / "index.json").read_text())
SPEC = WeightSpec(tuple(WeightEntry.of(entry) for entry in INDEX["spec"]))
VALID = [pytest.param(case, id=case["codec"]) for case in INDEX["valid"]]
EXACT = [pytest.param(case, id=case["codec"]) for case in INDEX["valid"] if case["is_exact"]]
INVALID = [pytest.param(case, id=Path(case["body"]).stem) for case in INDEX["invalid"]]


def read(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", GOLDEN / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", VALID)
def test_a_valid_body_decodes_to_the_bit(case: dict[str, Any]) -> None:
    decoded = codec_named(case["codec"]).decode(read(case["body"]), SPEC)
    assert decoded.astype("<f4").tobytes() == read(case["decoded"])


@pytest.mark.parametrize("case", EXACT)
def test_encoding_to_nearest_gives_the_golden_body(case: dict[str, Any]) -> None:
    delta = np.frombuffer(read(INDEX["delta"]), "<f4").astype(np.float32)
    body = codec_named(case["codec"]).encode(Weights(SPEC, delta), None)
    assert body == read(case["body"])


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_body_is_refused_with_its_code(case: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        codec_named(case["codec"]).decode(read(case["body"]), SPEC)
    assert caught.value.code == case["code"]


def test_the_index_lists_every_file() -> None:
    listed = {case[key] for case in INDEX["valid"] for key in ("body", "decoded")}
    listed |= {case["body"] for case in INDEX["invalid"]} | {"valid/three_tensors.safetensors"}
    there = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.glob("*valid/*")}
    assert there == listed


def test_the_generator_makes_what_the_index_lists(generator: ModuleType) -> None:
    assert [name for name, _ in generator.valid()] == [case["codec"] for case in INDEX["valid"]]
    made = [(case.name, case.codec, case.code) for case in generator.invalid()]
    assert made == [(case["name"], case["codec"], case["code"]) for case in INDEX["invalid"]]

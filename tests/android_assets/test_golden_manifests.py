"""Python takes and refuses the manifests of ``tests/golden/manifest``, which Kotlin reads too."""

from __future__ import annotations

from pathlib import Path

import pytest
from pocketfed.protocol.artifact import Manifest
from pocketfed.protocol.errors import MalformedPayload, SpecMismatch

FOLDER = Path(__file__).parent.parent / "golden" / "manifest"
VALID, INVALID = sorted(FOLDER.glob("valid/*.json")), sorted(FOLDER.glob("invalid/*.json"))


def test_there_are_manifests_of_both_kinds() -> None:
    assert len(VALID) > 5
    assert len(INVALID) > 40


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_manifest_is_read(path: Path) -> None:
    manifest = Manifest.from_json(path.read_bytes())
    assert (manifest.name, manifest.weight_spec.size) == ("golden", 8)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_manifest_is_refused(path: Path) -> None:
    with pytest.raises((MalformedPayload, SpecMismatch)):
        assert Manifest.from_json(path.read_bytes()).weight_spec

"""An artifact becomes assets of an app: checked, whole, and only what a phone needs."""

import shutil
import subprocess
from pathlib import Path

import flatbuffers
import msgspec
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from pocketfed.model_export.bundling import lay, require_fit
from pocketfed.model_export.compact.flatbuffer import (
    add_metadata,
    packed,
    parsed,
    places_of_constants,
)
from pocketfed.model_export.converting.artifact import write
from pocketfed.protocol.artifact import GOLDEN, GRAPH, MODEL, Artifact
from pocketfed.protocol.errors import DamagedArtifact, ExportError, FlexRequired

ROOT = Path(__file__).parents[2]


def _with_model(dense: Artifact, model: bytes, folder: Path, **changes: object) -> Artifact:
    """The artifact with another model, whose manifest agrees with it."""
    folder.mkdir()
    files = {name: dense.bytes_of(name) for name in dense.manifest.files}
    manifest = msgspec.structs.replace(dense.manifest, **changes)
    write(folder, manifest, files | {MODEL: model})
    return Artifact.read(folder)


def test_an_app_gets_what_a_phone_needs_and_nothing_else(dense: Artifact, tmp_path: Path) -> None:
    laid = lay(dense, assets=tmp_path)
    assert laid.folder == tmp_path / "pocketfed" / dense.manifest.name
    names = {"model.tflite", "manifest.json", "checkpoint.safetensors", "LICENSE", "SHA256SUMS"}
    assert {path.name for path in laid.folder.iterdir()} == names
    assert not {GOLDEN, GRAPH} & names
    assert laid.bytes == sum(path.stat().st_size for path in laid.folder.iterdir())


def test_the_files_are_those_that_were_exported(dense: Artifact, tmp_path: Path) -> None:
    folder = lay(dense, assets=tmp_path).folder
    for name in (MODEL, "manifest.json", "checkpoint.safetensors"):
        assert (folder / name).read_bytes() == (dense.folder / name).read_bytes()
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_sums_are_those_that_sha256sum_checks(dense: Artifact, tmp_path: Path) -> None:
    folder = lay(dense, assets=tmp_path).folder
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    assert len(checked.stdout.splitlines()) == 4


def test_laying_the_same_again_changes_nothing(dense: Artifact, tmp_path: Path) -> None:
    first = lay(dense, assets=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    second = lay(dense, assets=tmp_path)
    assert (first.is_new, second.is_new) == (True, False)
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before


def test_another_artifact_of_the_name_is_replaced_only_when_asked(
    dense: Artifact, tmp_path: Path
) -> None:
    other = _with_model(dense, dense.model, tmp_path / "other", labels=("a", "b", "c"))
    folder = lay(dense, assets=tmp_path).folder
    with pytest.raises(ExportError, match="holds something else; give --replace"):
        lay(other, assets=tmp_path)
    assert (folder / "manifest.json").read_bytes() == (dense.folder / "manifest.json").read_bytes()
    assert lay(other, assets=tmp_path, replace=True).is_new
    assert (folder / "manifest.json").read_bytes() == (other.folder / "manifest.json").read_bytes()


def test_a_damaged_file_among_the_assets_does_not_count_as_laid(
    dense: Artifact, tmp_path: Path
) -> None:
    folder = lay(dense, assets=tmp_path).folder
    (folder / MODEL).write_bytes(b"cut off")
    with pytest.raises(ExportError, match="--replace"):
        lay(dense, assets=tmp_path)


def test_a_folder_that_is_no_artifact_is_never_replaced(dense: Artifact, tmp_path: Path) -> None:
    precious = tmp_path / "pocketfed" / dense.manifest.name / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    with pytest.raises(ExportError, match="not an artifact"):
        lay(dense, assets=tmp_path, replace=True)
    assert precious.read_text() == "years of work"


def test_what_cannot_be_laid_leaves_nothing_behind(dense: Artifact, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-licence"):
        lay(dense, assets=tmp_path / "assets", licence=tmp_path / "no-licence")
    assert not (tmp_path / "assets").exists()


def test_the_licence_of_the_model_is_shipped_beside_ours(dense: Artifact, tmp_path: Path) -> None:
    licence = tmp_path / "terms"
    licence.write_text("Do with it as you like.")
    folder = lay(dense, assets=tmp_path, licence=licence).folder
    assert (folder / "LICENSE.model").read_text() == "Do with it as you like."
    assert "LICENSE.model" in (folder / "SHA256SUMS").read_text()


def test_an_artifact_that_changes_while_it_is_read_is_refused(
    dense: Artifact, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dense.folder, copy)
    artifact = Artifact.read(copy)
    changed = msgspec.structs.replace(artifact.manifest, name="other")
    (copy / "manifest.json").write_bytes(changed.to_json())
    with pytest.raises(DamagedArtifact, match="changed while it was read"):
        lay(artifact, assets=tmp_path)


def test_a_model_whose_constants_are_not_aligned_is_refused(
    dense: Artifact, tmp_path: Path
) -> None:
    # The generated code aligns constants to 4 bytes only.
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(parsed(dense.model).Pack(builder), b"TFL3")
    crooked = bytes(builder.Output())
    assert any(offset % 16 for offset in places_of_constants(crooked))
    with pytest.raises(ExportError, match="expected a multiple of 16"):
        require_fit(_with_model(dense, crooked, tmp_path / "crooked"))


@pytest.mark.parametrize("version", ["2.99.0", "unknown"])
def test_a_model_that_needs_a_newer_runtime_is_refused(
    version: str, dense: Artifact, tmp_path: Path
) -> None:
    root = parsed(dense.model)
    root.metadata = [entry for entry in root.metadata if entry.name != b"min_runtime_version"]
    if version != "unknown":
        text = np.frombuffer(version.encode(), np.uint8)
        add_metadata(root, b"min_runtime_version", text)
    with pytest.raises(ExportError, match=f"needs TensorFlow Lite {version}"):
        require_fit(_with_model(dense, packed(root), tmp_path / "newer"))


def test_a_model_that_needs_flex_is_refused(dense: Artifact, tmp_path: Path) -> None:
    root = parsed(dense.model)
    code = next(code for code in root.operatorCodes)
    code.builtinCode, code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM, 32
    code.customCode = b"FlexSave"
    with pytest.raises(FlexRequired, match="FlexSave"):
        require_fit(_with_model(dense, packed(root), tmp_path / "flex"))


def test_a_manifest_that_admits_to_flex_is_refused(dense: Artifact, tmp_path: Path) -> None:
    artifact = _with_model(dense, dense.model, tmp_path / "flex", flex_ops=("FlexSave",))
    with pytest.raises(FlexRequired, match="the manifest lists FlexSave"):
        require_fit(artifact)


def test_a_file_that_is_no_model_is_refused(dense: Artifact, tmp_path: Path) -> None:
    with pytest.raises(DamagedArtifact, match=r"not a \.tflite file"):
        require_fit(_with_model(dense, b"not a model at all", tmp_path / "none"))

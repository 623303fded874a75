"""Verification: every way an artifact can be wrong is a row that fails, with its error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from pocketfed.model_export import Check, Verification, verify
from pocketfed.model_export.compact.flatbuffer import packed
from pocketfed.model_export.converting import artifact
from pocketfed.protocol import wire
from pocketfed.protocol.artifact import CHECKPOINT, GOLDEN, MODEL, Artifact, Manifest
from pocketfed.protocol.errors import (
    ExportError,
    FlexRequired,
    ParityFailure,
    UninitialisedVariables,
)
from pocketfed.protocol.weights import Weights
from safetensors.numpy import load, save

NO_TENSORFLOW = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
from pathlib import Path
from pocketfed.model_export import verify
verification = verify(Path(sys.argv[1]))
verification.require()
print(len(verification.checks), *sorted(verification.measured))
from pocketfed.protocol.errors import ExportError
try:
    from pocketfed.model_export import export
except ExportError as error:
    print(error)
"""


def rewritten(
    source: Artifact,
    folder: Path,
    *,
    manifest: Manifest | None = None,
    files: dict[str, bytes] | None = None,
) -> Path:
    """A copy of an artifact with other contents but right digests."""
    folder.mkdir()
    old = {name: source.bytes_of(name) for name in source.manifest.files}
    artifact.write(folder, manifest or source.manifest, {**old, **(files or {})})
    return folder


def failed(verification: Verification) -> list[str]:
    return [check.name for check in verification.checks if not check.passed]


def edited(model: bytes, change: Callable[[Any], None]) -> bytes:
    """A model with a change made to its flatbuffer."""
    root: Any = schema.ModelT.InitFromPackedBuf(model, 0)
    change(root)
    return packed(root)


def test_a_good_artifact_passes_every_check_and_is_measured(dense: Artifact) -> None:
    verification = verify(dense.folder)
    assert failed(verification) == []
    rows = {(check.runtime, check.name) for check in verification.checks}
    assert len(rows) == len(verification.checks)
    assert verification.passed
    verification.require()
    assert verification.ops == dense.manifest.ops
    assert dense.manifest.measured.keys() == verification.measured.keys()


def test_both_runtimes_pass_the_same_checks(dense: Artifact) -> None:
    rows: dict[str, list[str]] = {}
    for check in verify(dense.folder).checks:
        rows.setdefault(check.runtime, []).append(check.name)
    assert list(rows) == ["", "Interpreter", "CompiledModel"]
    assert sorted(rows["Interpreter"]) == sorted(rows["CompiledModel"])
    assert len(rows["Interpreter"]) >= 18


def test_every_figure_is_measured(dense: Artifact) -> None:
    measured = dense.manifest.measured
    assert measured["model_bytes"] == len(dense.model)
    assert measured["weights_bytes"] == 4 * 53
    for name in ("train_ms_per_step", "compiled_train_ms_per_step", "evaluate_ms_per_batch"):
        assert 0 < measured[name] < 1000
    assert 1 < measured["peak_rss_mib"] < 200


def test_verify_needs_no_tensorflow_and_export_says_that_it_does(dense: Artifact) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_TENSORFLOW, str(dense.folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0].split()[1:] == sorted(dense.manifest.measured)
    assert "pip install 'pocketfed[export]'" in lines[1]
    assert done.stderr == ""


FIELDS = {
    "weights_after_1": "weights after 1 step",
    "weights_after_10": "weights after 10 steps",
    "loss": "losses of 10 steps",
    "outputs/outputs": "outputs of an inference",
    "evaluate_sums/correct_sum": "correct_sum of an evaluation",
}


def test_each_step_away_from_keras_fails_with_its_distance(dense: Artifact, tmp_path: Path) -> None:
    golden, distances = load(dense.bytes_of(GOLDEN)), {}
    for place, (field, row) in enumerate(FIELDS.items(), start=1):
        distances[row] = 0.5 * place
        golden[field].reshape(-1)[0] += distances[row]
    verification = verify(rewritten(dense, tmp_path / "a", files={GOLDEN: save(golden)}))
    found = [(c.name, c.measured) for c in verification.checks if c.name in distances]
    for row, distance in distances.items():
        twice = [measured for name, measured in found if name == row]
        assert twice == pytest.approx([distance] * 2, abs=1e-3), "once on each runtime"
        assert failed(verification).count(row) == 2
    with pytest.raises(ParityFailure, match="weights after 1 step on Interpreter") as failure:
        verification.require()
    assert failure.value.max_error == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (lambda golden: golden.update(weights_after_1=golden["loss"]), "weights after 1 step"),
        (
            lambda golden: golden.update({"evaluate_sums/other": golden["loss"][:1]}),
            "other of an evaluation",
        ),
    ],
)
def test_golden_vectors_of_another_model_fail_without_a_distance(
    change: Callable[[dict[str, Any]], None], row: str, dense: Artifact, tmp_path: Path
) -> None:
    golden = load(dense.bytes_of(GOLDEN))
    change(golden)
    verification = verify(rewritten(dense, tmp_path / "a", files={GOLDEN: save(golden)}))
    assert failed(verification) == [row, row]
    with pytest.raises(ParityFailure, match=f"{row} on Interpreter: got inf"):
        verification.require()


def _make_custom(root: Any) -> None:
    code = root.operatorCodes[-1]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"FlexAdd"


def _rename_variable(root: Any) -> None:
    for graph in root.subgraphs:
        for op in graph.operators:
            if op.builtinOptionsType == schema.BuiltinOptions.VarHandleOptions:
                op.builtinOptions.sharedName = b"unheard of"
                return


def _add_ballast(root: Any) -> None:
    ballast: Any = schema.MetadataT()
    ballast.name, ballast.buffer = b"ballast", len(root.buffers)
    buffer: Any = schema.BufferT()
    buffer.data = np.ones(1_000_000, np.uint8)
    root.buffers.append(buffer)
    root.metadata.append(ballast)


@pytest.mark.parametrize(
    ("change", "row", "kind"),
    [
        (_make_custom, "ops no phone has", FlexRequired),
        (_rename_variable, "variables without a first value", UninitialisedVariables),
        (_add_ballast, "model size, bytes", ExportError),
    ],
)
def test_a_model_no_phone_should_have_is_not_run(
    change: Callable[[Any], None],
    row: str,
    kind: type[ExportError],
    dense: Artifact,
    tmp_path: Path,
) -> None:
    model = edited(dense.model, change)
    verification = verify(rewritten(dense, tmp_path / "a", files={MODEL: model}))
    assert row in failed(verification)
    assert {check.runtime for check in verification.checks} == {""}
    assert verification.measured == {}
    with pytest.raises(kind, match="do not ship"):
        verification.require()


def test_another_checkpoint_fails(dense: Artifact, tmp_path: Path) -> None:
    moved = Weights(dense.checkpoint.spec, dense.checkpoint.vector + np.float32(1))
    folder = rewritten(dense, tmp_path / "a", files={CHECKPOINT: wire.encode(moved)})
    assert "first weights unlike the checkpoint" in failed(verify(folder))


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ({"labels": ("one", "two")}, "labels missing or left over"),
        ({"ops": {"ADD": 1}}, "ops the manifest miscounts"),
        ({"signatures": {}}, "signatures the manifest misdescribes"),
    ],
)
def test_a_manifest_that_describes_another_model_fails(
    change: dict[str, object], row: str, dense: Artifact, tmp_path: Path
) -> None:
    manifest = msgspec.structs.replace(dense.manifest, **change)
    assert row in failed(verify(rewritten(dense, tmp_path / "a", manifest=manifest)))


def test_a_file_that_is_no_model_is_not_run(dense: Artifact, tmp_path: Path) -> None:
    folder = rewritten(dense, tmp_path / "a", files={MODEL: b"no model"})
    with pytest.raises(ExportError, match=r"not a \.tflite file"):
        verify(folder)


@pytest.mark.parametrize("kind", [FlexRequired, UninitialisedVariables, ExportError])
def test_require_raises_the_error_of_the_first_failed_check(kind: type[ExportError]) -> None:
    checks = (Check("fine", 0.0), Check("first", 2.0, 1.0, kind), Check("second", 1.0))
    with pytest.raises(kind, match="first: got 2, expected at most 1"):
        Verification(checks, {}, {}).require()


def test_an_error_names_the_runtime_it_was_found_on() -> None:
    check = Check("loss", 2.0, 1.0, ParityFailure, "CompiledModel")
    assert str(check.error).startswith("loss on CompiledModel: got 2, expected at most 1 away")


def test_a_check_of_nan_fails() -> None:
    assert not Check("loss", float("nan"), 1.0).passed

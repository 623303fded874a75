"""Runs an artifact on the phones' runtimes and compares it with what Keras did at export.

Needs the artifact and LiteRT, not TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...protocol.artifact import GOLDEN, Artifact, Manifest
from ...protocol.errors import FlexRequired, UninitialisedVariables
from ...runtime import CompiledRuntime, Runtime
from .behaviour import GROUPS, Trial
from .check import Check
from .golden import Golden
from .lint import Lint, lint
from .measure import measure

RUNTIMES = (Runtime, CompiledRuntime)


@dataclass(frozen=True)
class Verification:
    """All checks of an artifact, and the figures measured on this machine.

    ``ops`` counts the model's operators by name.
    """

    checks: tuple[Check, ...]
    measured: dict[str, float]
    ops: dict[str, int]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def require(self) -> None:
        """Raises the error of the first check that failed."""
        for check in self.checks:
            if not check.passed:
                raise check.error


def verify(folder: Path) -> Verification:
    """Checks an artifact in every way a phone relies on.

    Raises DamagedArtifact when it is not what was exported; every other finding is a row.
    """
    artifact = Artifact.read(folder)
    found = lint(artifact.model)
    checks = [*_file_checks(artifact.manifest, found)]
    if not all(check.passed for check in checks):
        return Verification(tuple(checks), {}, found.ops)
    checks += _behaviour_checks(artifact)
    return Verification(tuple(checks), measure(folder), found.ops)


def _file_checks(manifest: Manifest, found: Lint) -> Iterator[Check]:
    """What shows without running the model; none that fails here could be run."""
    yield Check("ops no phone has", len(found.custom_ops), failure=FlexRequired)
    yield Check(
        "variables without a first value", len(found.uninitialised), failure=UninitialisedVariables
    )
    yield Check("model size, bytes", found.model_bytes, found.size_limit(manifest.stored_bytes))
    yield Check("ops the manifest miscounts", len(found.ops.items() ^ manifest.ops.items()))
    if manifest.labels:
        yield Check("labels missing or left over", abs(len(manifest.labels) - _classes(manifest)))


def _behaviour_checks(artifact: Artifact) -> Iterator[Check]:
    golden = Golden.from_bytes(artifact.bytes_of(GOLDEN))
    model, checkpoint = artifact.model, artifact.checkpoint.vector
    for runtime in RUNTIMES:
        trial = Trial(model, artifact.manifest, checkpoint, golden, runtime)
        for group in GROUPS:
            yield from (replace(check, runtime=runtime.name) for check in group(trial))


def _classes(manifest: Manifest) -> int:
    """The last side of the first output; 0 for a manifest that describes no output."""
    infer = manifest.signatures.get("infer")
    return infer.outputs[0].shape[-1] if infer else 0

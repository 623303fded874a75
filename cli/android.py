"""The command that gives an artifact to an Android app."""

from __future__ import annotations

import tempfile
from pathlib import Path

from absl import flags

from ..protocol.artifact import Artifact
from .flags.groups import Values
from .flags.parsing import UsageError, exactly, optional_path, required


def group(values: Values) -> None:
    flags.DEFINE_string("artifact", None, "folder that `export` wrote", flag_values=values)
    flags.DEFINE_string(
        "zoo", None, "a model of the zoo to export first, instead", flag_values=values
    )
    flags.DEFINE_string(
        "out", None, "the app's assets, such as app/src/main/assets", flag_values=values
    )
    flags.DEFINE_string(
        "license", None, "text under which the model is shipped", flag_values=values
    )
    flags.DEFINE_bool(
        "replace", False, "replaces another artifact of the same name", flag_values=values
    )


def android(words: list[str], values: Values) -> None:
    exactly(words)
    assets = Path(required(values, "out"))
    if bool(values.artifact) == bool(values.zoo):
        raise UsageError("expected one of --artifact=DIR and --zoo=NAME")
    if values.artifact:
        _lay(Artifact.read(Path(values.artifact)), assets, values)
        return
    from .. import model_export

    with tempfile.TemporaryDirectory() as scratch:
        _lay(model_export.export_zoo(values.zoo, out=Path(scratch, "zoo")), assets, values)


def _lay(artifact: Artifact, assets: Path, values: Values) -> None:
    from ..model_export.bundling import lay

    laid = lay(
        artifact, assets=assets, licence=optional_path(values.license), replace=values.replace
    )
    state = "laid" if laid.is_new else "was there already"
    print(f"{laid.folder}: {artifact.manifest.name}, {laid.bytes:,} bytes, {state}")

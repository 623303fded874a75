"""Fitness: whether the runtime of an app can map and run a model as it lies in the APK."""

from __future__ import annotations

from ...protocol.artifact import Artifact
from ...protocol.errors import ExportError, FlexRequired
from ..compact.flatbuffer import BUFFER_ALIGNMENT, places_of_constants
from ..proving.lint import lint

# The oldest runtime with which the Android library is built; every LiteRT is newer.
OLDEST_RUNTIME = "2.16.1"


def require_fit(artifact: Artifact) -> None:
    """Raises the ExportError of the first thing for which an app could not run the model."""
    manifest, model = artifact.manifest, artifact.model
    if manifest.flex_ops:
        raise FlexRequired(
            f"the manifest lists {', '.join(manifest.flex_ops)}, which no phone has; export again"
        )
    found = lint(model)
    found.require(weights_bytes=manifest.stored_bytes)
    _require_runtime(found.minimum_runtime)
    crooked = [offset for offset in places_of_constants(model) if offset % BUFFER_ALIGNMENT]
    if crooked:
        raise ExportError(
            f"a constant of the model begins at byte {crooked[0]}, expected a multiple of "
            f"{BUFFER_ALIGNMENT}, or a phone that maps it fails; export the model again"
        )


def _require_runtime(minimum: str) -> None:
    try:
        is_known = _version(minimum) <= _version(OLDEST_RUNTIME)
    except ValueError:
        is_known = False
    if not is_known:
        raise ExportError(
            f"the model needs TensorFlow Lite {minimum}, and the Android library is built with "
            f"{OLDEST_RUNTIME}; export it with an older converter"
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))

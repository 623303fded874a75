"""The artifact: a folder that holds all a phone needs to train one model, and describes itself.

``manifest.json`` names every other file with its SHA-256. ``read`` checks them, so whoever holds
an ``Artifact`` holds the bytes that were exported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from . import wire
from .errors import DamagedArtifact, MalformedPayload
from .plan import Plan
from .record import Count, Name, Positive, Record, Sha256
from .weights import WeightEntry, Weights, WeightSpec

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
MODEL = "model.tflite"
CHECKPOINT = "checkpoint.safetensors"
GOLDEN = "golden.safetensors"
# Only where the export was asked for it; no phone reads it.
GRAPH = "graph.pb"
# How a model file may hold its first weights, and what one of them then takes.
Storage: TypeAlias = Literal["float32", "float16"]
STORED_BYTES: dict[Storage, int] = {"float32": 4, "float16": 2}


class TensorSpec(Record, frozen=True, kw_only=True):
    """One input or output of a signature; ``shape`` is static."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Signature(Record, frozen=True, kw_only=True):
    """A callable entry of the model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class FileEntry(Record, frozen=True, kw_only=True):
    """A file of the artifact."""

    sha256: Sha256
    bytes: Count


class InputScale(Record, frozen=True, kw_only=True):
    """How raw values become model inputs: ``(raw - offset) * scale``."""

    offset: float = 0.0
    scale: float = 1.0


class Tolerances(Record, frozen=True, kw_only=True):
    """How far a phone's weights and losses may lie from the golden ones: atol + rtol * |golden|."""

    atol: float
    rtol: float


class Manifest(Record, frozen=True, kw_only=True):
    """What an app reads instead of hard-coding sizes.

    ``batch_size`` is the static batch of ``train``, ``evaluate_batch_size`` that of ``evaluate``
    and ``infer``. ``ops`` counts the operators of the model by name; ``flex_ops`` is always empty.
    ``loss`` is ``output:loss`` separated by commas for a model with several outputs, and
    ``loss_weights`` says how much each counts when they do not count alike.
    ``proximal`` is the mu of FedProx that ``train`` works with, 0 for none. ``trainable`` is the
    preset that chose what trains; ``frozen_weights`` counts those that do not travel. ``storage``
    is how the model holds first values. ``measured`` holds figures taken at export on the
    exporting machine, by name with its unit.
    """

    schema_version: Annotated[int, msgspec.Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    name: Name
    created_by: str
    files: dict[str, FileEntry]
    signatures: dict[str, Signature]
    batch_size: Positive
    evaluate_batch_size: Positive
    spec: tuple[WeightEntry, ...]
    loss: str
    loss_weights: dict[str, float] = {}
    optimizer: str
    proximal: float = 0.0
    trainable: str = "full"
    frozen_weights: Count = 0
    storage: Storage = "float32"
    input_scale: InputScale = InputScale()
    labels: tuple[str, ...] = ()
    plan: Plan = Plan()
    ops: dict[str, int]
    flex_ops: tuple[str, ...] = ()
    minimum_runtime: str
    tolerances: Tolerances
    measured: dict[str, float] = {}

    @property
    def weight_spec(self) -> WeightSpec:
        return WeightSpec(self.spec)

    @property
    def stored_bytes(self) -> int:
        """What all float weights take in the model, each stored once."""
        return (self.weight_spec.size + self.frozen_weights) * STORED_BYTES[self.storage]


@dataclass(frozen=True)
class Artifact:
    """A checked artifact on disk."""

    folder: Path
    manifest: Manifest

    @classmethod
    def read(cls, folder: Path) -> Artifact:
        """Opens an artifact and checks every file against the manifest; raises DamagedArtifact."""
        path = folder / MANIFEST
        if not path.is_file():
            raise DamagedArtifact(f"{folder} is not an artifact: it has no {MANIFEST}")
        try:
            manifest = Manifest.from_json(path.read_bytes())
        except MalformedPayload as error:
            raise DamagedArtifact(f"{path}: {error}") from error
        artifact = cls(folder, manifest)
        for name in manifest.files:
            artifact.bytes_of(name)
        return artifact

    def bytes_of(self, name: str) -> bytes:
        """The bytes of one file, checked against the manifest; raises DamagedArtifact."""
        entry = self.manifest.files.get(name)
        path = self.folder / name
        if entry is None or Path(name).name != name or not path.is_file():
            raise DamagedArtifact(f"{self.folder} has no {name}; export the model again")
        body = path.read_bytes()
        if wire.sha256(body) != entry.sha256:
            raise DamagedArtifact(f"{path} is not the file that was exported; export it again")
        return body

    @property
    def model(self) -> bytes:
        return self.bytes_of(MODEL)

    @property
    def graph(self) -> bytes:
        """The training program for TensorFlow; raises DamagedArtifact where there is none."""
        if GRAPH not in self.manifest.files:
            raise DamagedArtifact(f"{self.folder} has no {GRAPH}; export it with --graph")
        return self.bytes_of(GRAPH)

    @property
    def checkpoint(self) -> Weights:
        """The initial weights."""
        return wire.decode(self.bytes_of(CHECKPOINT), self.manifest.weight_spec)

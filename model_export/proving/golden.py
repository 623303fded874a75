"""Golden vectors: ten train steps and one evaluation, with what Keras makes of them.

They start at the artifact's checkpoint. Batches hold padding (weight 0) here and there; Keras saw
only the examples of weight 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ...protocol.errors import DamagedArtifact
from ...protocol.weights import Vector, WeightEntry

STEPS = 10
MAPPINGS = frozenset({"x", "y", "evaluate_x", "evaluate_y", "evaluate_sums", "outputs", "slack"})
OPTIONAL = frozenset({"slack"})
Array = npt.NDArray[Any]
Arrays = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Golden:
    """Arrays by role; those of the train steps have the step as their first side.

    ``x``, ``y``, ``weight`` and ``learning_rate`` go into ``train``, which then returns ``loss``.
    ``seed`` goes in too; it is empty if the steps draw no random numbers.
    ``evaluate_*`` and ``outputs`` belong to the weights after step 10. What a signature may take
    or give several of is a mapping by the signature's names; the file calls it ``role/name``.
    ``slack`` says by role how much further than its tolerance a runtime may be from what Keras
    found, for weights by variable; it is empty where Keras's own results do not hang on rounding.
    """

    x: Arrays
    y: Arrays
    weight: Array
    learning_rate: Array
    seed: Array
    loss: Array
    weights_after_1: Vector
    weights_after_10: Vector
    evaluate_x: Arrays
    evaluate_y: Arrays
    evaluate_weight: Array
    evaluate_sums: Arrays
    outputs: Arrays
    slack: Arrays

    def to_bytes(self) -> bytes:
        """Encodes as one safetensors file."""
        arrays: Arrays = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in MAPPINGS:
                arrays |= {f"{field.name}/{name}": array for name, array in value.items()}
            else:
                arrays[field.name] = value
        return bytes(save({key: np.ascontiguousarray(array) for key, array in arrays.items()}))

    @classmethod
    def from_bytes(cls, body: bytes) -> Golden:
        """Decodes; raises DamagedArtifact when arrays are missing."""
        try:
            arrays = load(body)
            return cls(**{field.name: _role(arrays, field.name) for field in fields(cls)})
        except (KeyError, SafetensorError) as error:
            raise DamagedArtifact(f"the golden vectors lack {error}; export again") from error

    def step(self, index: int) -> dict[str, Array]:
        """The inputs of train step ``index``."""
        inputs = {**self.x, **self.y, "weight": self.weight}
        if self.is_random:
            inputs["seed"] = self.seed
        return {
            **{name: array[index] for name, array in inputs.items()},
            "learning_rate": self.learning_rate[index],
        }

    def slack_of(self, role: str, spec: Sequence[WeightEntry]) -> Array:
        """The slack of weights, by element of the flat vector."""
        by_variable = self.slack.get(role, np.zeros(len(spec), np.float32))
        return np.repeat(by_variable, [entry.size for entry in spec])

    @property
    def is_random(self) -> bool:
        """Whether the steps draw random numbers."""
        return bool(self.seed.size)

    @property
    def evaluation(self) -> dict[str, Array]:
        """The inputs of the evaluation."""
        return {**self.evaluate_x, **self.evaluate_y, "weight": self.evaluate_weight}


def _role(arrays: Arrays, role: str) -> Any:
    """An array, or a mapping with at least one; raises KeyError when there is none."""
    if role not in MAPPINGS:
        return arrays[role]
    start = f"{role}/"
    found = {key.removeprefix(start): arrays[key] for key in arrays if key.startswith(start)}
    if not found and role not in OPTIONAL:
        raise KeyError(role)
    return found

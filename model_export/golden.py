"""Golden vectors: ten train steps and one evaluation, with what Keras makes of them.

They start at the artifact's checkpoint. Batches hold padding (weight 0) here and there; Keras saw
only the examples of weight 1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..protocol.errors import DamagedArtifact
from ..protocol.weights import Vector

STEPS = 10
Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Golden:
    """Arrays by role; those of the train steps have the step as their first side.

    ``x``, ``y``, ``weight`` and ``learning_rate`` go into ``train``, which then returns ``loss``.
    ``seed`` goes in too; it is empty if the steps draw no random numbers.
    ``evaluate_*`` and ``outputs`` belong to the weights after step 10.
    """

    x: Array
    y: Array
    weight: Array
    learning_rate: Array
    seed: Array
    loss: Array
    weights_after_1: Vector
    weights_after_10: Vector
    evaluate_x: Array
    evaluate_y: Array
    evaluate_weight: Array
    evaluate_loss_sum: Array
    evaluate_correct_sum: Array
    evaluate_weight_sum: Array
    outputs: Array

    def to_bytes(self) -> bytes:
        """Encodes as one safetensors file."""
        arrays = {f.name: np.ascontiguousarray(getattr(self, f.name)) for f in fields(self)}
        return bytes(save(arrays))

    @classmethod
    def from_bytes(cls, body: bytes) -> Golden:
        """Decodes; raises DamagedArtifact when arrays are missing."""
        try:
            arrays = load(body)
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})
        except (KeyError, SafetensorError) as error:
            raise DamagedArtifact(f"the golden vectors lack {error}; export again") from error

    def step(self, index: int) -> dict[str, Array]:
        """The inputs of train step ``index``."""
        inputs = {"x": self.x, "y": self.y, "weight": self.weight}
        if self.is_random:
            inputs["seed"] = self.seed
        return {
            **{name: array[index] for name, array in inputs.items()},
            "learning_rate": self.learning_rate[index],
        }

    @property
    def is_random(self) -> bool:
        """Whether the steps draw random numbers."""
        return bool(self.seed.size)

    @property
    def evaluation(self) -> dict[str, Array]:
        """The inputs of the evaluation."""
        return {"x": self.evaluate_x, "y": self.evaluate_y, "weight": self.evaluate_weight}

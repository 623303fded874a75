"""What a model does on a phone, whichever of LiteRT's runtimes runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..protocol.weights import Vector

Array = npt.NDArray[Any]
RESET = "reset_optimizer"


class Model(ABC):
    """A loaded model with its own copy of the weights, which start at the file's first ones.

    Belongs to one thread at a time. Raises DamagedArtifact for a model it cannot open or run.
    ``name`` is what LiteRT calls the runtime.
    """

    name: ClassVar[str]

    @abstractmethod
    def __init__(self, model: bytes, *, num_threads: int = 1) -> None: ...

    @abstractmethod
    def signatures(self) -> dict[str, dict[str, list[str]]]:
        """Names of inputs and outputs by signature."""

    @abstractmethod
    def call(self, signature: str, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Runs one signature; the outputs are the caller's own."""

    def train(self, inputs: Mapping[str, npt.ArrayLike]) -> float:
        """One step; the loss before it."""
        return float(self.call("train", inputs)["loss"])

    def reset_optimizer(self) -> None:
        """Forgets what earlier steps left behind, if the model's optimizer remembers anything."""
        if RESET in self.signatures():
            self.call(RESET, {})

    @property
    def weights(self) -> Vector:
        return np.array(self.call("get_weights", {})["weights"])

    @weights.setter
    def weights(self, vector: Vector) -> None:
        self.call("set_weights", {"weights": vector})

"""An artifact's model in a LiteRT interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol.errors import DamagedArtifact
from ..protocol.weights import Vector
from .quiet import quietly

Array = npt.NDArray[Any]
RESET = "reset_optimizer"


class Runtime:
    """One interpreter with its own copy of the weights, which start at the model's initial ones.

    Belongs to one thread at a time. Raises DamagedArtifact for a model it cannot open or run.
    """

    def __init__(self, model: bytes, *, num_threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._runners: dict[str, Any] = {}
        try:
            with quietly():
                self._interpreter: Any = Interpreter(model_content=model, num_threads=num_threads)
        except (RuntimeError, ValueError) as error:
            raise DamagedArtifact(f"the runtime cannot open the model: {error}") from error

    def signatures(self) -> dict[str, dict[str, list[str]]]:
        """Names of inputs and outputs by signature."""
        found: dict[str, dict[str, list[str]]] = self._interpreter.get_signature_list()
        return found

    def call(self, signature: str, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Runs one signature; the outputs are the caller's own."""
        try:
            if signature in self._runners:
                return dict(self._runners[signature](**inputs))
            with quietly():
                runner = self._interpreter.get_signature_runner(signature)
                self._runners[signature] = runner
                return dict(runner(**inputs))
        except (RuntimeError, ValueError) as error:
            raise DamagedArtifact(f"{signature} cannot run: {error}") from error

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

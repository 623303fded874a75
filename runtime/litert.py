"""An artifact's model in a LiteRT interpreter, the runtime that every phone has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from ..protocol.errors import DamagedArtifact
from .model import Array, Model
from .quiet import quietly


class Runtime(Model):
    """One interpreter."""

    name = "Interpreter"

    def __init__(self, model: bytes, *, num_threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._runners: dict[str, Any] = {}
        try:
            with quietly():
                self._interpreter: Any = Interpreter(model_content=model, num_threads=num_threads)
        except (RuntimeError, ValueError) as error:
            raise DamagedArtifact(f"the runtime cannot open the model: {error}") from error

    def signatures(self) -> dict[str, dict[str, list[str]]]:
        found: dict[str, dict[str, list[str]]] = self._interpreter.get_signature_list()
        return found

    def call(self, signature: str, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        try:
            if signature in self._runners:
                return dict(self._runners[signature](**inputs))
            with quietly():
                runner = self._interpreter.get_signature_runner(signature)
                self._runners[signature] = runner
                return dict(runner(**inputs))
        except (RuntimeError, ValueError) as error:
            raise DamagedArtifact(f"{signature} cannot run: {error}") from error

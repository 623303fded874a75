"""An artifact's model in LiteRT's CompiledModel, the newer of the runtimes a phone may have."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol.errors import DamagedArtifact
from .model import Array, Model
from .quiet import quietly, silence_the_exit


@dataclass(frozen=True)
class _Tensor:
    """One input or output with the memory it is passed in."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    memory: Any

    @classmethod
    def of(cls, details: Mapping[str, Any], memory: Any) -> _Tensor:
        return cls(np.dtype(details["dtype"]), tuple(details["shape"]), memory)

    def write(self, name: str, value: npt.ArrayLike) -> None:
        """Copies a value in; raises ValueError when it is of another kind or shape."""
        array = np.ascontiguousarray(value).reshape(np.shape(value))
        if (array.dtype, array.shape) != (self.dtype, self.shape):
            raise ValueError(
                f"{name} got {array.dtype} of shape {array.shape}, "
                f"expected {self.dtype} of shape {self.shape}"
            )
        # As bytes, because LiteRT's Python has no name for some kinds, int64 among them.
        self.memory.write(array.reshape(-1).view(np.uint8))

    def read(self) -> Array:
        size = math.prod(self.shape) * self.dtype.itemsize
        found: Array = self.memory.read(size, np.uint8)
        return found.view(self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class _Port:
    """A signature with memory for everything that goes in and comes out."""

    inputs: Mapping[str, _Tensor]
    outputs: Mapping[str, _Tensor]

    def write(self, values: Mapping[str, npt.ArrayLike]) -> None:
        """Raises ValueError when an input is missing, unknown, or of another kind or shape."""
        if values.keys() != self.inputs.keys():
            raise ValueError(f"got the inputs {sorted(values)}, expected {sorted(self.inputs)}")
        for name, value in values.items():
            self.inputs[name].write(name, value)


class CompiledRuntime(Model):
    """One compiled model on the CPU."""

    name = "CompiledModel"

    def __init__(self, model: bytes, *, num_threads: int = 1) -> None:
        self._bytes = model  # The runtime may read it as long as it lives.
        self._ports: dict[str, _Port] = {}
        try:
            with quietly():
                self._model: Any = _opened(model, num_threads)
        except (RuntimeError, ValueError) as error:
            raise DamagedArtifact(f"the runtime cannot open the model: {_line(error)}") from error

    def signatures(self) -> dict[str, dict[str, list[str]]]:
        found: dict[str, dict[str, list[str]]] = self._model.get_signature_list()
        return found

    def call(self, signature: str, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        try:
            if signature in self._ports:
                return self._run(signature, inputs)
            with quietly():
                self._ports[signature] = self._port_of(signature)
                return self._run(signature, inputs)
        except (RuntimeError, ValueError) as error:
            raise DamagedArtifact(f"{signature} cannot run: {_line(error)}") from error

    def _run(self, signature: str, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        port = self._ports[signature]
        port.write(inputs)
        self._model.run_by_name(signature, _memories(port.inputs), _memories(port.outputs))
        return {name: tensor.read() for name, tensor in port.outputs.items()}

    def _port_of(self, signature: str) -> _Port:
        model = self._model
        if signature not in self.signatures():
            raise ValueError(f"the model has only {', '.join(self.signatures())}")
        inputs = model.get_input_tensor_details(signature)
        outputs = model.get_output_tensor_details(signature)
        return _Port(
            {
                name: _Tensor.of(details, model.create_input_buffer_by_name(signature, name))
                for name, details in inputs.items()
            },
            {
                name: _Tensor.of(details, model.create_output_buffer_by_name(signature, name))
                for name, details in outputs.items()
            },
        )


def _opened(model: bytes, num_threads: int) -> Any:
    from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, Options

    options = Options(cpu_options=CpuOptions(num_threads=num_threads))
    return CompiledModel.from_buffer(model, environment=_environment(), options=options)


def _line(error: Exception) -> str:
    """LiteRT draws the causes of an error as a tree."""
    return " ".join(str(error).replace("└", " ").split())


def _memories(tensors: Mapping[str, _Tensor]) -> dict[str, Any]:
    return {name: tensor.memory for name, tensor in tensors.items()}


@functools.cache
def _environment() -> Any:
    """What all models of a process share; LiteRT looks for accelerators when it is made."""
    from ai_edge_litert.environment import Environment

    silence_the_exit()
    return Environment.create()

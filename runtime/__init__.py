"""The phones' runtime, LiteRT, on this machine: what exporter and simulator run a model with.

LiteRT 2 has two: ``Runtime`` is its Interpreter, which older versions have too, and
``CompiledRuntime`` its CompiledModel on the CPU.
"""

from .compiled import CompiledRuntime
from .litert import Runtime
from .model import Array, Model
from .quiet import quietly

__all__ = ["Array", "CompiledRuntime", "Model", "Runtime", "quietly"]

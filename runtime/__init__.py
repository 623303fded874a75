"""The phones' runtime, LiteRT, on this machine: what exporter and simulator run a model with."""

from .litert import Array, Runtime
from .quiet import quietly

__all__ = ["Array", "Runtime", "quietly"]

"""Exports Keras models to an artifact that phones can train, and proves that they train alike.

::

    from pocketfed.model_export import export, zoo_model
    artifact = export(zoo_model("mnist_2nn"), out=Path("build/mnist_2nn"), loss=...)

``verify`` needs no TensorFlow; everything else imports it at first use.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from ..protocol.errors import ExportError
from ..runtime import quietly
from .proving.check import Check
from .proving.verify import Verification, verify

if TYPE_CHECKING:
    from .pipeline import export, export_zoo, load
    from .reading.restoring import restore
    from .zoo import ZOO, ZooModel, zoo_model

_NEEDS_TENSORFLOW = {
    "ZOO": "zoo",
    "ZooModel": "zoo",
    "export": "pipeline",
    "export_zoo": "pipeline",
    "load": "pipeline",
    "restore": "reading.restoring",
    "zoo_model": "zoo",
}
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__all__ = [
    "ZOO",
    "Check",
    "Verification",
    "ZooModel",
    "export",
    "export_zoo",
    "load",
    "restore",
    "verify",
    "zoo_model",
]


def __getattr__(name: str) -> Any:
    module = _NEEDS_TENSORFLOW.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        with quietly():
            importlib.import_module("tensorflow")
    except ModuleNotFoundError as error:
        raise ExportError(
            f"{name} needs TensorFlow, which is not installed: pip install 'pocketfed[export]'"
        ) from error
    return getattr(importlib.import_module(f".{module}", __name__), name)

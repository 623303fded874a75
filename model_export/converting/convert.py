"""Program -> .tflite, in builtin ops only, and what to do about an op that is not."""

from __future__ import annotations

import re

import keras
from tensorflow.lite.python.convert_phase import ConverterError

from ...protocol.errors import ExportError, FlexRequired, UnsupportedLayer, first_line
from ...runtime import quietly
from ..compact import compact
from ..compact.flatbuffer import packed, parsed
from ..lowering import NotLowered
from ..reading.inspection import layers_with, place_of
from ..training.signatures import Program
from .converter import converted, sign

_OP_LISTS = re.compile(r"(?:TF Select|Flex|Custom) ops: ([\w, ]+)")
REPLACEMENTS = {
    "Conv3DBackpropFilterV2": "use Conv2D over images",
    "If": "use a weight constraint, such as UnitNorm, instead of SpectralNormalization",
    "TensorListReserve": "write the loop out, with a fixed number of steps",
    "StatelessWhile": "write the loop out, with a fixed number of steps",
    "While": "write the loop out, with a fixed number of steps",
}


def convert(program: Program, *, in_halves: bool = False) -> bytes:
    """Converts every signature into one .tflite file, with first weights as halves if asked.

    Raises NotLowered for an op that is neither builtin nor lowered, ExportError when the
    converter fails for another reason.
    """
    try:
        with quietly():
            root = parsed(converted(program.module, program.functions))
    except ConverterError as error:
        raise _translated(str(error)) from error
    sign(root)
    compact(root, in_halves=in_halves)
    return packed(root)


def unsupported(model: keras.Model, error: NotLowered) -> ExportError:
    """Says which layer brought the op in, why it cannot stay, and what to use instead."""
    advice = error.advice or _replacement(error.op_types)
    for op_type in error.op_types:
        for layer in layers_with(model, op_type):
            return UnsupportedLayer(f"{place_of(layer)} needs {op_type}: {error.reason}; {advice}")
    ops = ", ".join(error.op_types)
    return FlexRequired(f"{model.name} needs {ops}: {error.reason}; {advice}")


def _translated(message: str) -> Exception:
    listed = [name for names in _OP_LISTS.findall(message) for name in names.split(", ")]
    op_types = tuple(dict.fromkeys(name.strip().removeprefix("Flex") for name in listed))
    if op_types:
        return NotLowered(op_types, reason="no phone has this op, and there is no lowering for it")
    return ExportError(f"the TFLite converter failed: {first_line(message)}")


def _replacement(op_types: tuple[str, ...]) -> str:
    for op_type in op_types:
        if op_type in REPLACEMENTS:
            return REPLACEMENTS[op_type]
    return "use a layer that is made of other ops"

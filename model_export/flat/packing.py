"""Writes a model back into a flatbuffer, in which equal vectors, strings and options are one."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16


def packed(root: Any) -> bytes:
    """The bytes of a ``ModelT``, whose operators' options are shared by this."""
    seen: dict[tuple[Any, ...], _Shared] = {}
    for graph in root.subgraphs:
        for op in graph.operators:
            if op.builtinOptions is not None:
                shared = _Shared(op.builtinOptions)
                op.builtinOptions = seen.setdefault(shared.key, shared)
    builder = _Builder(1 << 20)
    builder.Finish(root.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


class _Shared:
    """Options that are written when first met, and pointed to after that."""

    def __init__(self, options: Any) -> None:
        self.key = (type(options), *map(str, vars(options).values()))
        self._options = options
        self._offset: int | None = None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  # flatbuffers' own name
        if self._offset is None:
            self._offset = self._options.Pack(builder)
        return self._offset


class _Builder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
    """Aligns constants as the schema demands, and writes nothing twice."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: Any) -> Any:  # noqa: N802  # flatbuffers' own name
        key = (str(x.dtype), x.tobytes())
        if key not in self._written:
            if x.dtype == np.uint8:
                self.Prep(BUFFER_ALIGNMENT, x.nbytes)
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]

    def CreateString(self, s: Any, *options: Any) -> Any:  # noqa: N802  # flatbuffers' own name
        key = ("", s if isinstance(s, bytes) else s.encode())
        if key not in self._written:
            self._written[key] = super().CreateString(s, *options)
        return self._written[key]

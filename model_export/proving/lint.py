"""The op lint: what a .tflite file holds, read off the flatbuffer itself.

An interpreter shows only what is left after delegation; the file shows everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from ...protocol.errors import DamagedArtifact, ExportError, FlexRequired, UninitialisedVariables

IDENTIFIER = b"TFL3"
GRAPH_BYTES, OP_BYTES = 128 * 1024, 128
MAX_WEIGHT_RATIO = 1.15
_BUILTINS = {
    number: name for name, number in vars(schema.BuiltinOperator).items() if name[0] != "_"
}


@dataclass(frozen=True)
class Lint:
    """What was found: operators by name, custom ones among them, and variables by state.

    ``main_takes_inputs`` is of the first subgraph: where it takes none, Android's Interpreter
    cannot call the signatures that take none either.
    """

    ops: dict[str, int]
    custom_ops: tuple[str, ...]
    used: frozenset[str]
    initialised: frozenset[str]
    minimum_runtime: str
    model_bytes: int
    main_takes_inputs: bool

    @property
    def uninitialised(self) -> tuple[str, ...]:
        """Variables some signature uses but no CALL_ONCE gives a first value."""
        return tuple(sorted(self.used - self.initialised))

    def size_limit(self, weights_bytes: int) -> float:
        """How large a file with these operators may be, in bytes: the weights once, and the ops."""
        graph_bytes = GRAPH_BYTES + OP_BYTES * sum(self.ops.values())
        return MAX_WEIGHT_RATIO * weights_bytes + graph_bytes

    def require(self, *, weights_bytes: int) -> None:
        """Raises FlexRequired, UninitialisedVariables or ExportError if no phone can use it."""
        if self.custom_ops:
            raise FlexRequired(f"the model needs {', '.join(self.custom_ops)}, which no phone has")
        if self.uninitialised:
            raise UninitialisedVariables(
                f"{len(self.uninitialised)} of {len(self.used)} variables have no first value, "
                f"such as {self.uninitialised[0]}; the exported module must hold them itself"
            )
        if not self.main_takes_inputs:
            raise ExportError(
                "the first signature of the model takes no inputs, so no app could call it; "
                "let it be one that takes examples"
            )
        if self.model_bytes > self.size_limit(weights_bytes):
            raise ExportError(
                f"the model takes {self.model_bytes} bytes for {weights_bytes} bytes of weights; "
                "a constant of that size is stored twice"
            )


def lint(model: bytes) -> Lint:
    """Reads a .tflite file; raises DamagedArtifact when it is none."""
    if model[4:8] != IDENTIFIER:
        raise DamagedArtifact("the model is not a .tflite file; export it again")
    root = schema.Model.GetRootAs(model, 0)
    graphs: list[Any] = [root.Subgraphs(index) for index in range(root.SubgraphsLength())]
    names = [_name_of(root.OperatorCodes(index)) for index in range(root.OperatorCodesLength())]
    ops = Counter(names[op.OpcodeIndex()] for graph in graphs for op in _operators(graph))
    first = _initialisers(graphs, names)
    entries = [graph for index, graph in enumerate(graphs) if index not in first]
    return Lint(
        ops=dict(sorted(ops.items())),
        custom_ops=tuple(sorted(name for name in ops if name not in vars(schema.BuiltinOperator))),
        used=frozenset(name for graph in entries for name in _variables(graph, names)),
        initialised=frozenset(
            name for index in first for name in _variables(graphs[index], names, assigned=True)
        ),
        minimum_runtime=_minimum_runtime(root),
        model_bytes=len(model),
        main_takes_inputs=graphs[0].InputsLength() > 0,
    )


def _name_of(code: Any) -> str:
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == schema.BuiltinOperator.CUSTOM:
        custom: bytes = code.CustomCode() or b"CUSTOM"
        return custom.decode()
    return str(_BUILTINS.get(number, f"UNKNOWN_{number}"))


def _operators(graph: Any) -> Iterator[Any]:
    return (graph.Operators(index) for index in range(graph.OperatorsLength()))


def _initialisers(graphs: list[Any], names: list[str]) -> set[int]:
    """Indices of the subgraphs that some CALL_ONCE runs."""
    found = set()
    for graph in graphs:
        for op in _operators(graph):
            if names[op.OpcodeIndex()] == "CALL_ONCE":
                options = schema.CallOnceOptions()
                table = op.BuiltinOptions()
                options.Init(table.Bytes, table.Pos)
                found.add(options.InitSubgraphIndex())
    return found


def _variables(graph: Any, names: list[str], *, assigned: bool = False) -> set[str]:
    """Variables the graph has a handle of, or only those it assigns."""
    handles: dict[int, str] = {}
    targets: set[str] = set()
    for op in _operators(graph):
        name = names[op.OpcodeIndex()]
        if name == "VAR_HANDLE":
            handles[op.Outputs(0)] = _shared_name(op)
        if name == "ASSIGN_VARIABLE":
            targets.add(handles.get(op.Inputs(0), ""))
    return targets if assigned else set(handles.values())


def _shared_name(op: Any) -> str:
    options = schema.VarHandleOptions()
    table = op.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    name: bytes = options.SharedName() or b""
    return name.decode()


def _minimum_runtime(root: Any) -> str:
    """The oldest TFLite runtime with every op version of the file, as the converter noted it."""
    for index in range(root.MetadataLength()):
        entry = root.Metadata(index)
        if entry.Name() == b"min_runtime_version":
            text: bytes = root.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
            return text.rstrip(b"\0").decode()
    return "unknown"

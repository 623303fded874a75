"""Every output is a tensor of its own, which no input is and no other output.

The converter merges what is equal. An Interpreter reads the same tensor under both names; a
CompiledModel knows a tensor by one name only, and leaves an output that is an input unwritten.
"""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from .flatbuffer import EMPTY, add_tensor, opcode


def separate(root: Any) -> None:
    """Copies, in each signature, the outputs that are there already under another name."""
    for signature in root.signatureDefs or []:
        graph = root.subgraphs[signature.subgraphIndex]
        taken = {int(index) for index in graph.inputs}
        for output in signature.outputs:
            if output.tensorIndex in taken:
                output.tensorIndex = _copied(root, graph, output.tensorIndex)
            taken.add(output.tensorIndex)
        graph.outputs = [output.tensorIndex for output in signature.outputs]


def _copied(root: Any, graph: Any, index: int) -> int:
    """Appends a CAST of a tensor to its own type, which keeps every bit."""
    tensor = graph.tensors[index]
    place = add_tensor(graph, shape=tensor.shape, kind=tensor.type, buffer=EMPTY)
    graph.tensors[place].name = f"output_{place}".encode()
    op: Any = schema.OperatorT()
    options: Any = schema.CastOptionsT()
    options.inDataType = options.outDataType = tensor.type
    op.opcodeIndex = opcode(root, schema.BuiltinOperator.CAST)
    op.inputs, op.outputs = [int(index)], [place]
    op.builtinOptionsType = schema.BuiltinOptions.CastOptions
    op.builtinOptions = options
    graph.operators.append(op)
    return place

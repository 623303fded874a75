"""Re-emission: a traced function is written out again, op by op, in ops a phone has.

Gradients are traced with TF's own GradientTape and Keras's own layers; only then is every op that
TFLite lacks replaced by its lowering. So nothing about a model has to be rebuilt by hand, and
forward ops can be lowered like backward ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from .refusal import NotLowered, Refusal

Lowering = Callable[..., tf.Tensor | Sequence[tf.Tensor]]
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
LOOPS = frozenset({"StatelessWhile", "While"})


def lowered(traced: Any, table: Mapping[str, Lowering]) -> Callable[..., Any]:
    """A Python function that emits ``traced`` (a ConcreteFunction) with ``table`` applied.

    It takes the flat inputs of ``traced`` and returns its structured outputs; call it while a
    tf.function is traced. Raises NotLowered for an op that cannot be emitted.
    """

    def emit(*inputs: tf.Tensor) -> Any:
        outputs = _emit_graph(traced.graph, [*inputs, *traced.captured_inputs], table)[0]
        return tf.nest.pack_sequence_as(traced.structured_outputs, outputs)

    return emit


def needed(graph: Any) -> list[tf.Operation]:
    """The ops in the order of tracing, but for those that neither give an output nor have effects.

    Keras traces some: a recurrent layer draws its dropout masks for an evaluation, too.
    """
    waiting = [tensor.op for tensor in graph.outputs]
    waiting += [op for op in graph.get_operations() if op.op_def.is_stateful]
    found: set[tf.Operation] = set()
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
    return [op for op in graph.get_operations() if op in found]


def _emit_graph(
    graph: Any, inputs: Sequence[tf.Tensor], table: Mapping[str, Lowering]
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    """Emits the body of ``graph`` into the graph being built; returns outputs and stateful ops."""
    _require_no_control_flow(graph)
    values = {inner.ref(): outer for inner, outer in zip(graph.inputs, inputs, strict=True)}
    emitted: dict[tf.Operation, list[tf.Operation]] = {}
    stateful: list[tf.Operation] = []
    for op in needed(graph):
        if op.type == "Placeholder":
            continue
        before = [new for old in op.control_inputs for new in emitted.get(old, ())]
        arguments = [values[tensor.ref()] for tensor in op.inputs]
        with tf.control_dependencies(before):
            outputs, ops = _emit_op(op, arguments, table)
        values.update((old.ref(), new) for old, new in zip(op.outputs, outputs, strict=True))
        emitted[op] = ops
        stateful += ops if op.op_def.is_stateful else ()
    return [values[tensor.ref()] for tensor in graph.outputs], stateful


def _require_no_control_flow(graph: Any) -> None:
    for op in graph.get_operations():
        holds_functions = any(value.HasField("func") for value in op.node_def.attr.values())
        grows_lists = any(tensor.dtype == tf.variant for tensor in op.inputs)
        if holds_functions and (op.type not in CALLS | LOOPS or grows_lists):
            raise NotLowered((op.type,), reason="loops and branches cannot be trained on a phone")


def _emit_op(
    op: tf.Operation, inputs: Sequence[tf.Tensor], table: Mapping[str, Lowering]
) -> tuple[Sequence[tf.Tensor], list[tf.Operation]]:
    if op.type in CALLS:
        body = op.graph._get_function(op.get_attr("f").name)
        return _emit_graph(body.graph, inputs, table)
    if op.type in LOOPS:
        return _emit_loop(op, inputs, table)
    if op.type in table:
        return _emit_lowering(op, inputs, table[op.type])
    copy = tf.compat.v1.get_default_graph().create_op(
        op.type,
        list(inputs),
        [output.dtype for output in op.outputs],
        attrs=dict(op.node_def.attr),
        op_def=op.op_def,
        name=op.name,
    )
    return copy.outputs, [copy]


def _emit_loop(
    op: tf.Operation, inputs: Sequence[tf.Tensor], table: Mapping[str, Lowering]
) -> tuple[Sequence[tf.Tensor], list[tf.Operation]]:
    """A loop that only reads what it is given; a phone has no lists for it to grow."""
    condition, body = (op.graph._get_function(op.get_attr(name).name) for name in ("cond", "body"))
    outputs = tf.while_loop(
        lambda *carried: _emit_graph(condition.graph, carried, table)[0][0],
        lambda *carried: tuple(_emit_graph(body.graph, carried, table)[0]),
        tuple(inputs),
    )
    return outputs, [output.op for output in outputs]


def _emit_lowering(
    op: tf.Operation, inputs: Sequence[tf.Tensor], lowering: Lowering
) -> tuple[Sequence[tf.Tensor], list[tf.Operation]]:
    with tf.name_scope(op.name):
        try:
            result = lowering(op, *inputs)
        except Refusal as error:
            raise NotLowered((op.type,), reason=error.reason, advice=error.advice) from error
    outputs: list[Any] = list(result) if isinstance(result, (list, tuple)) else [result]
    return outputs, [output.op for output in outputs]

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


def lowered(
    traced: Any, table: Mapping[str, Lowering], *, captured: Sequence[tf.Tensor] | None = None
) -> Callable[..., Any]:
    """A Python function that emits ``traced`` (a ConcreteFunction) with ``table`` applied.

    It takes the flat inputs of ``traced`` and returns its structured outputs; call it while a
    tf.function is traced. ``captured`` stand in for what ``traced`` captured, in that order. Raises
    NotLowered for an op that cannot be emitted.
    """
    around = traced.captured_inputs if captured is None else captured

    def emit(*inputs: tf.Tensor) -> Any:
        outputs = _emit_graph(traced.graph, [*inputs, *around], table)[0]
        return tf.nest.pack_sequence_as(traced.structured_outputs, outputs)

    return emit


def needed(graph: Any) -> list[tf.Operation]:
    """The ops that give an output or have effects, and all they need, in the order of tracing.

    Keras traces others, too: a recurrent layer draws its dropout masks for an evaluation. Inputs
    come first; the gradient of a loop gives the loop inputs that were traced after it.
    """
    ops = graph.get_operations()
    waiting = [tensor.op for tensor in graph.outputs]
    waiting += [op for op in ops if op.op_def.is_stateful]
    wanted: set[tf.Operation] = set()
    while waiting:
        op = waiting.pop()
        if op not in wanted:
            wanted.add(op)
            waiting += _before(op)
    return _inputs_first([op for op in ops if op in wanted])


def _inputs_first(ops: Sequence[tf.Operation]) -> list[tf.Operation]:
    placed: dict[tf.Operation, None] = {}
    for last in ops:
        waiting = [last]
        while waiting:
            missing = [op for op in _before(waiting[-1]) if op not in placed]
            if missing:
                waiting += reversed(missing)
            else:
                placed[waiting.pop()] = None
    return list(placed)


def _before(op: tf.Operation) -> list[tf.Operation]:
    return [*(tensor.op for tensor in op.inputs), *op.control_inputs]


def _emit_graph(
    graph: Any, inputs: Sequence[tf.Tensor], table: Mapping[str, Lowering]
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    """Emits the body of ``graph`` into the graph being built; returns outputs and stateful ops."""
    _require_no_control_flow(graph, table)
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


def _require_no_control_flow(graph: Any, table: Mapping[str, Lowering]) -> None:
    for op in graph.get_operations():
        holds_functions = any(value.HasField("func") for value in op.node_def.attr.values())
        is_plain_loop = op.type in LOOPS and not any(t.dtype == tf.variant for t in op.inputs)
        is_emitted = op.type in CALLS or op.type in table or is_plain_loop
        if holds_functions and not is_emitted:
            raise NotLowered((op.type,), reason="loops and branches cannot be trained on a phone")


def _emit_op(
    op: tf.Operation, inputs: Sequence[tf.Tensor], table: Mapping[str, Lowering]
) -> tuple[Sequence[tf.Tensor], list[tf.Operation]]:
    if op.type in CALLS:
        body = op.graph._get_function(op.get_attr("f").name)
        return _emit_graph(body.graph, inputs, table)
    if op.type in table:
        return _emit_lowering(op, inputs, table[op.type])
    if op.type in LOOPS:
        return _emit_loop(op, inputs, table)
    copy = _copied(op, inputs)
    return copy.outputs, [copy]


def _copied(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Operation:
    return tf.compat.v1.get_default_graph().create_op(
        op.type,
        list(inputs),
        [output.dtype for output in op.outputs],
        attrs=dict(op.node_def.attr),
        op_def=op.op_def,
        name=op.name,
    )


def as_it_is(op: tf.Operation, *inputs: tf.Tensor) -> Sequence[tf.Tensor]:
    """Copies a loop or branch; what it holds is not lowered."""
    for value in op.node_def.attr.values():
        if value.HasField("func"):
            body = op.graph._get_function(value.func.name)
            tf.compat.v1.get_default_graph()._add_function_recursive(body)
    outputs: Sequence[tf.Tensor] = _copied(op, inputs).outputs
    return outputs


VERBATIM: Mapping[str, Lowering] = dict.fromkeys(
    ("Case", "If", "StatelessCase", "StatelessIf", "StatelessWhile", "While"), as_it_is
)


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

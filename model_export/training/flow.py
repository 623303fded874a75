"""What a traced pass does with variables: which it assigns, and which its gradient needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..lowering.rewrite import CALLS

# Ops that take a variable and leave it as it is.
READS = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape"})


class Mark(NamedTuple):
    """What a tensor hangs on: weights that train, or else variables alone (None: also inputs)."""

    is_active: bool
    sources: frozenset[int] | None


INPUT, ACTIVE = Mark(False, None), Mark(True, None)


@dataclass(frozen=True)
class Flow:
    """Variables by the identity of their handle.

    ``assigned`` are those that the pass hands to an op that is more than a read. ``needed`` are
    those that meet, by themselves, something that hangs on a weight that trains: the gradient of
    where they meet may read them again.
    """

    trainable: frozenset[int]
    assigned: set[int] = field(default_factory=set)
    needed: set[int] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        step: Callable[..., Any],
        inputs: Sequence[tf.TensorSpec],
        trainable: Iterable[keras.Variable],
    ) -> Flow:
        """Traces ``step`` and follows it from op to op."""
        traced = tf.function(step, autograph=False).get_concrete_function(*inputs)
        flow = cls(frozenset(handle_of(variable) for variable in trainable))
        handles = {inner.ref(): id(outer) for outer, inner in traced.graph.captures}
        marks = {tensor.ref(): INPUT for tensor in traced.graph.inputs}
        flow._walk(traced.graph, marks, handles)
        return flow

    def _walk(self, graph: Any, marks: dict[Any, Mark], handles: Mapping[Any, int]) -> list[Mark]:
        for op in graph.get_operations():
            if op.type == "Placeholder":
                continue
            found = self._outputs(op, marks, handles)
            marks.update((o.ref(), mark) for o, mark in zip(op.outputs, found, strict=True))
        return [marks[tensor.ref()] for tensor in graph.outputs]

    def _outputs(self, op: Any, marks: dict[Any, Mark], handles: Mapping[Any, int]) -> list[Mark]:
        held = [handles[tensor.ref()] for tensor in op.inputs if tensor.ref() in handles]
        bodies = [attr.func.name for attr in op.node_def.attr.values() if attr.HasField("func")]
        if bodies:
            inside = [self._enter(op, name, marks, handles) for name in bodies]
            if op.type in CALLS:
                return inside[0]
            # A loop may carry anything round to anywhere.
            self.needed.update(held)
            return [ACTIVE] * len(op.outputs)
        if op.type in READS and held:
            mark = ACTIVE if held[0] in self.trainable else Mark(False, frozenset(held))
            return [self._met([mark, *(marks[i.ref()] for i in op.inputs[1:])])] * len(op.outputs)
        self.assigned.update(held)
        return [self._met([marks[i.ref()] for i in op.inputs])] * len(op.outputs)

    def _enter(
        self, op: Any, name: str, marks: Mapping[Any, Mark], handles: Mapping[Any, int]
    ) -> list[Mark]:
        body = op.graph._get_function(name).graph
        # A branch takes all inputs of its op but the first, which chooses it.
        outer = op.inputs[len(op.inputs) - len(body.inputs) :]
        pairs = list(zip(body.inputs, outer, strict=True))
        held = {inner.ref(): handles[o.ref()] for inner, o in pairs if o.ref() in handles}
        return self._walk(body, {inner.ref(): marks[o.ref()] for inner, o in pairs}, held)

    def _met(self, marks: Sequence[Mark]) -> Mark:
        """The mark of what an op makes of tensors with these marks."""
        if any(mark.is_active for mark in marks):
            self.needed.update(source for mark in marks for source in mark.sources or ())
            return ACTIVE
        known = [mark.sources for mark in marks if mark.sources is not None]
        return Mark(False, frozenset().union(*known)) if len(known) == len(marks) else INPUT


def handle_of(variable: keras.Variable) -> int:
    """The identity of a variable in a graph."""
    return id(variable.value.handle)

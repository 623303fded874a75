"""The training program for TensorFlow: the traced steps as pure functions, with its own kernels.

One GraphDef holds ``train`` and ``evaluate``. ``FUNCTION/in/NAME`` are placeholders and
``FUNCTION/out/NAME`` results. NAME is that of a signature's input or output, or one of::

    weights/K   the tensor K of the layout; ``train`` gives it back trained
    slots/K     what the optimizer remembers, at first zeros; ``train`` gives it back
    received/K  for FedProx: the tensor K of the layout as it was received

Frozen weights are constants that both functions share, ``frozen/K``. Random numbers come from the
input ``seed`` and are those of the phone, since both are emitted from one trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from ...protocol.artifact import Signature
from ...protocol.errors import ExportError, first_line
from ..lowering import Lowering, lowered, seeded
from ..lowering.rewrite import LOOPS
from ..reading.layout import Layout
from .flow import handle_of
from .memory import Memory
from .randomness import SEED
from .signatures import Program, Trainee, evaluation_without_loops

IN, OUT = "in", "out"


def graph_of(trainee: Trainee, program: Program) -> bytes:
    """The serialized GraphDef of a traced program; the weights of now are in it if frozen.

    Raises ExportError for a step that keeps a state of its own.
    """
    graph = tf.Graph()
    steps = {"train": program.traced_train, "evaluate": evaluation_without_loops(trainee)}
    values = {handle_of(variable): variable.numpy() for variable in trainee.layout.frozen}
    with graph.as_default():
        with tf.name_scope("frozen"):
            constants = [tf.constant(v, name=str(place)) for place, v in enumerate(values.values())]
        frozen = dict(zip(values, constants, strict=True))
        for name, traced in steps.items():
            variables = _Variables(trainee.layout, program.memory, frozen)
            with tf.name_scope(name):
                _emit(traced, program.signatures()[name], variables)
    return _unordered(graph.as_graph_def())


def _unordered(definition: tf.compat.v1.GraphDef) -> bytes:
    """Drops control inputs and colocations: no effects are left that would need an order or place.

    They would also hold on to nodes, for whose outputs alone an importer can put others.
    """
    for node in definition.node:
        node.attr.pop("_class", None)
        data = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(data)
    serialized: bytes = definition.SerializeToString(deterministic=True)
    return serialized


class _Variables:
    """Variables as values: placeholders at first, then what a step has assigned to each.

    In the place of a variable's handle goes the value that it begins with.
    """

    def __init__(self, layout: Layout, memory: Memory, frozen: Mapping[int, tf.Tensor]) -> None:
        places = {variable.path: place for place, variable in enumerate(layout.travelling)}
        self._first: dict[int, tuple[str, Any]] = {
            handle_of(variable): (f"weights/{place}", variable)
            for place, variable in enumerate(layout.travelling)
        }
        for place, slot in enumerate(memory.resettable):
            self._first[id(slot.handle)] = (f"slots/{place}", slot)
        for path, copy in memory.received.items():
            self._first[id(copy.handle)] = (f"received/{places[path]}", copy)
        self._frozen = frozen
        self._named: dict[str, tf.Tensor] = {}
        self._now: dict[Any, tf.Tensor] = {}

    def declare(self, *, trains: bool) -> None:
        """Makes a placeholder for each variable of a function: of all, or of the weights only."""
        for name, variable in self._first.values():
            if trains or name.startswith("weights/"):
                tensor = _placeholder(name, variable.dtype, variable.shape)
                self._named[name] = self._now[tensor.ref()] = tensor

    def first_of(self, captured: tf.Tensor) -> tf.Tensor:
        """What stands for something that a traced step captured."""
        if captured.dtype != tf.resource:
            return tf.constant(captured.numpy())
        if id(captured) in self._frozen:
            return self._frozen[id(captured)]
        if id(captured) not in self._first:
            raise ExportError(
                "the model keeps a state besides its weights, which graph=True cannot hold; "
                "export it without"
            )
        name, _ = self._first[id(captured)]
        return self._named[name]

    def outputs(self) -> Iterator[tuple[str, tf.Tensor]]:
        """Weights and slots as they are after the step."""
        for name, first in self._named.items():
            if not name.startswith("received/"):
                yield name, self._now[first.ref()]

    def table(self) -> dict[str, Lowering]:
        """Lowerings of every op that takes a handle."""
        table: dict[str, Lowering] = {
            "ReadVariableOp": lambda _, handle: self._value(handle),
            "ResourceGather": self._gather,
            "ResourceGatherNd": lambda _, handle, at: tf.gather_nd(self._value(handle), at),
            "VariableShape": self._shape,
            "AssignVariableOp": self._assigning(lambda _, value: value),
            "AssignAddVariableOp": self._assigning(tf.add),
            "AssignSubVariableOp": self._assigning(tf.subtract),
        }
        return {**table, **dict.fromkeys(LOOPS, _refuse)}

    def _value(self, handle: tf.Tensor) -> tf.Tensor:
        # What is not known is frozen, a value already.
        return self._now.get(handle.ref(), handle)

    def _assigning(self, combine: Callable[..., tf.Tensor]) -> Lowering:
        def assign(_: tf.Operation, handle: tf.Tensor, value: tf.Tensor) -> Sequence[tf.Tensor]:
            self._now[handle.ref()] = combine(self._now[handle.ref()], value)
            return []

        return assign

    def _gather(self, op: tf.Operation, handle: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._value(handle), indices, batch_dims=op.get_attr("batch_dims"))

    def _shape(self, op: tf.Operation, handle: tf.Tensor) -> tf.Tensor:
        return tf.shape(self._value(handle), out_type=op.get_attr("out_type"))


def _emit(traced: Any, signature: Signature, variables: _Variables) -> None:
    """Emits one function into the graph that is being built."""
    roles = {spec.name for spec in signature.inputs}
    with tf.name_scope(IN):
        variables.declare(trains="learning_rate" in roles)
        inputs = [_placeholder(spec.name, spec.dtype, spec.shape) for spec in signature.inputs]
    captured = [variables.first_of(tensor) for tensor in traced.captured_inputs]
    emit = (seeded if SEED.name in roles else lowered)(traced, variables.table(), captured=captured)
    try:
        results = emit(*inputs)
    except (TypeError, ValueError) as error:
        raise ExportError(f"this model has no graph: {first_line(error)}") from error
    with tf.name_scope(OUT):
        for role, tensor in (*results.items(), *variables.outputs()):
            tf.identity(tensor, name=role)


def _refuse(op: tf.Operation, *_: tf.Tensor) -> tf.Tensor:
    raise ExportError(f"{op.name} is a loop, which graph=True cannot hold; export without it")


def _placeholder(name: str, dtype: Any, shape: Sequence[int | None]) -> tf.Tensor:
    return tf.compat.v1.placeholder(dtype, shape, name=name)

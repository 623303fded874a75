"""The graph trainer: the same local training in TensorFlow, all of its steps in one call.

It runs an artifact's ``graph.pb``, the traced steps that ``model.tflite`` was made of, with
TensorFlow's own kernels: for learning curves and large simulations. Nothing is traced or built per
phone; the compiled functions hold no state, so trainers of one graph share them.

Small steps of dense layers spend a third of their time between kernels. XLA fuses them, but is ten
times slower at convolutions; so it compiles the training of graphs whose work is matrix products.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...protocol import wire
from ...protocol.artifact import GRAPH, Manifest
from ...protocol.errors import ConfigError, DamagedArtifact, first_line
from ...protocol.weights import Vector
from ...runtime import Array, quietly
from .batches import Feed, Steps
from .room import Room
from .trainers import LocalTrainer, Losses, Sums

FUNCTIONS = ("train", "evaluate")
SUMS = ("loss_sum", "correct_sum", "weight_sum")
# What XLA is slower at than TensorFlow's own kernels.
NOT_FUSED = ("Conv", "Pool", "While")
# An unrolled recurrence has thousands of nodes, which XLA compiles for minutes in every process.
MOST_FUSED = 500
Tensors = Mapping[str, Any]


class GraphTrainer(LocalTrainer):
    """Local training through an artifact's graph, one thread unless TensorFlow already has more.

    Raises ConfigError without TensorFlow, or for a graph that is not that of the manifest, and
    DamagedArtifact when the graph cannot be run.
    """

    def __init__(self, graph: bytes, manifest: Manifest) -> None:
        _require_same(graph, manifest)
        self._program = _program_of(graph)
        self._room = Room()
        super().__init__(manifest, takes_seed=self._program.takes_seed)

    def _take(
        self, steps: Steps, feed: Feed, vector: Vector, learning_rate: Array
    ) -> tuple[Vector, Losses]:
        seeds = np.zeros(len(steps), np.int32) if steps.seeds is None else steps.seeds
        rows: Sequence[Array] = feed.x, feed.y, steps.places, steps.weight, seeds
        if self._program.is_fused:
            rows = self._room.hold(rows)
        count = np.array(len(steps), np.int32)
        delta, losses = _called("train", self._program.train, (vector, *rows, learning_rate, count))
        return delta, losses[:count]

    def _measure(self, steps: Steps, feed: Feed, vector: Vector) -> Sums:
        arrays = vector, feed.x, feed.y, steps.places, steps.weight
        return Sums(*(float(each) for each in _called("evaluate", self._program.evaluate, arrays)))


@dataclass(frozen=True)
class GraphTrainers:
    """Makes graph trainers where a fleet asks for a trainer of a downloaded model.

    The graph does not travel to phones; a trainer checks that it belongs to the model's manifest.
    """

    graph: bytes

    def __call__(self, model: bytes, manifest: Manifest) -> GraphTrainer:
        return GraphTrainer(self.graph, manifest)


class _Function:
    """One function of a graph: the nodes that compute, and what goes in and comes out by name."""

    def __init__(self, definition: Any, name: str) -> None:
        self._name = name
        mine = [node for node in definition.node if node.name.startswith((f"{name}/", "frozen/"))]
        holders = [node for node in mine if node.op == "Placeholder"]
        inner = [node for node in mine if node.op != "Placeholder"]
        if not holders:
            raise DamagedArtifact(f"{GRAPH} has no function {name!r}; export the model again")
        self.specs: Tensors = {
            node.name.removeprefix(f"{name}/in/"): _spec_of(node) for node in holders
        }
        self._used = {source.partition(":")[0] for node in inner for source in node.input}
        # A placeholder that stays would have to be fed, though nothing reads it.
        self._body = type(definition)(node=inner, versions=definition.versions)

    @property
    def is_dense(self) -> bool:
        """Whether its work is a few matrix products and nothing that XLA is slow at."""
        if len(self._body.node) > MOST_FUSED:
            return False
        ops = {node.op for node in self._body.node}
        return "MatMul" in ops and not any(word in op for op in ops for word in NOT_FUSED)

    def several(self, role: str) -> list[Any]:
        """The specs of ``role/0``, ``role/1`` and so on."""
        count = sum(name.startswith(f"{role}/") for name in self.specs)
        return [self.specs[f"{role}/{place}"] for place in range(count)]

    def __call__(self, inputs: Tensors, wanted: Sequence[str]) -> list[Any]:
        """Emits the function into the graph being built; inputs nobody reads are left out."""
        tf = _tensorflow()
        mapped = {
            f"{self._name}/in/{name}:0": tf.identity(tensor)
            for name, tensor in inputs.items()
            if f"{self._name}/in/{name}" in self._used
        }
        results = [f"{self._name}/out/{name}:0" for name in wanted]
        emitted: list[Any] = tf.graph_util.import_graph_def(
            self._body, input_map=mapped, return_elements=results, name=""
        )
        return emitted


class _Program:
    """The functions of a graph, each with a loop over the steps around it."""

    def __init__(self, definition: Any) -> None:
        self._train, self._evaluate = (_Function(definition, name) for name in FUNCTIONS)
        self.takes_seed = "seed" in self._train.specs
        self.is_fused = self._train.is_dense

    @functools.cached_property
    def train(self) -> Any:
        tf, loop = _tensorflow(), functools.partial(_training, self._train)
        seeds, rate = tf.TensorSpec((None,), tf.int32), tf.TensorSpec(())
        signature = [*_rows(self._train), seeds, rate, tf.TensorSpec((), tf.int32)]
        return _compiled(loop, signature, is_fused=self.is_fused)

    @functools.cached_property
    def evaluate(self) -> Any:
        loop = functools.partial(_evaluation, self._evaluate)
        return _compiled(loop, _rows(self._evaluate), is_fused=False)


def _training(
    train: _Function,
    vector: Any,
    x: Any,
    y: Any,
    places: Any,
    weight: Any,
    seeds: Any,
    rate: Any,
    count: Any,
) -> tuple[Any, Any]:
    """What the first ``count`` steps change, as a flat vector, and the loss of each."""
    tf = _tensorflow()
    received, slots = _parts(train, vector), [tf.zeros(s.shape) for s in train.several("slots")]
    kept = [name for name in train.specs if name.startswith("received/")]
    constant = {name: received[int(name.partition("/")[2])] for name in kept}
    names = [*_numbered("weights", received), *_numbered("slots", slots)]

    def step(at: Any, losses: Any, *state: Any) -> tuple[Any, ...]:
        batch = _batch(at, x, y, places, weight)
        inputs = {**batch, "learning_rate": rate, "seed": tf.gather(seeds, at), **constant}
        loss, *after = train({**inputs, **dict(zip(names, state, strict=True))}, ["loss", *names])
        return at + 1, losses.write(at, loss), *after

    losses = tf.TensorArray(tf.float32, size=tf.shape(places)[0], element_shape=())
    _, losses, *state = tf.while_loop(
        lambda at, *_: at < count, step, (0, losses, *received, *slots), parallel_iterations=1
    )
    trained = tf.concat([tf.reshape(part, (-1,)) for part in state[: len(received)]], 0)
    return trained - vector, losses.stack()


def _evaluation(
    evaluate: _Function, vector: Any, x: Any, y: Any, places: Any, weight: Any
) -> tuple[Any, ...]:
    """The sums over all steps."""
    tf = _tensorflow()
    weights = _parts(evaluate, vector)
    constant = dict(zip(_numbered("weights", weights), weights, strict=True))

    def step(at: Any, *sums: Any) -> tuple[Any, ...]:
        found = evaluate({**_batch(at, x, y, places, weight), **constant}, SUMS)
        return at + 1, *(
            total + tf.cast(part, tf.float64) for total, part in zip(sums, found, strict=True)
        )

    nothing = tf.constant(0.0, tf.float64)
    _, *sums = tf.while_loop(
        lambda at, *_: at < tf.shape(places)[0],
        step,
        (0, *[nothing] * len(SUMS)),
        parallel_iterations=1,
    )
    return tuple(sums)


def _batch(at: Any, x: Any, y: Any, places: Any, weight: Any) -> Tensors:
    """The batch of one step."""
    tf = _tensorflow()
    mine = tf.gather(places, at)
    return {"x": tf.gather(x, mine), "y": tf.gather(y, mine), "weight": tf.gather(weight, at)}


def _parts(function: _Function, vector: Any) -> list[Any]:
    """The tensors of a flat vector."""
    tf, specs = _tensorflow(), function.several("weights")
    sizes = [spec.shape.num_elements() for spec in specs]
    parts = tf.split(vector, sizes)
    return [tf.reshape(part, spec.shape) for part, spec in zip(parts, specs, strict=True)]


def _numbered(role: str, tensors: Sequence[Any]) -> list[str]:
    return [f"{role}/{place}" for place in range(len(tensors))]


def _rows(function: _Function) -> list[Any]:
    """What every loop takes: a flat vector, examples, and the batches of any number of steps."""
    tf, specs = _tensorflow(), function.specs
    size = sum(spec.shape.num_elements() for spec in function.several("weights"))
    width = specs["weight"].shape[0]
    return [
        tf.TensorSpec((size,)),
        *(tf.TensorSpec((None, *specs[name].shape[1:]), specs[name].dtype) for name in ("x", "y")),
        tf.TensorSpec((None, width), tf.int32),
        tf.TensorSpec((None, width)),
    ]


def _compiled(loop: Callable[..., Any], signature: Sequence[Any], *, is_fused: bool) -> Any:
    """A tf.function of the loop, traced once for any number of examples and steps."""
    return _tensorflow().function(
        loop, input_signature=signature, autograph=False, jit_compile=is_fused or None
    )


def _called(name: str, function: Any, arrays: Sequence[Array]) -> list[Array]:
    tf = _tensorflow()
    try:
        return [result.numpy() for result in function(*arrays)]
    except (tf.errors.OpError, TypeError, ValueError, KeyError) as error:
        raise DamagedArtifact(f"{name} of {GRAPH} cannot run: {first_line(error)}") from error


def _spec_of(placeholder: Any) -> Any:
    tf = _tensorflow()
    shape = tf.TensorShape(placeholder.attr["shape"].shape)
    return tf.TensorSpec(shape, tf.as_dtype(placeholder.attr["dtype"].type))


def _require_same(graph: bytes, manifest: Manifest) -> None:
    entry = manifest.files.get(GRAPH)
    if entry is None or entry.sha256 != wire.sha256(graph):
        whose = "no graph" if entry is None else "another graph"
        reason = f"{manifest.name} was exported with {whose}; give its own artifact, with {GRAPH}"
        raise ConfigError("trainer", "graph", reason)


@functools.lru_cache(maxsize=8)
def _program_of(graph: bytes) -> _Program:
    tf = _tensorflow()
    from google.protobuf.message import DecodeError

    try:
        return _Program(tf.compat.v1.GraphDef.FromString(graph))
    except (DecodeError, KeyError) as error:
        raise DamagedArtifact(f"{GRAPH} cannot be opened: {first_line(error)}") from error


@functools.cache
def _tensorflow() -> Any:
    """TensorFlow, imported at the first use and told to take one thread."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Off by default on many processors, where a convolution then takes twice as long.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with quietly():
            import tensorflow as tf
    except ModuleNotFoundError as error:
        reason = "needs TensorFlow, which is not installed: pip install 'pocketfed[export]'"
        raise ConfigError("trainer", "graph", reason) from error
    # What already runs in this process has chosen its threads.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf

"""Reads a Keras model: what it holds, whether it can be exported, and which layer an op is from."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import tensorflow as tf

from ...protocol.errors import ExportError, UnsupportedLayer

STEPS_OF_FIT = ("train_step", "compute_loss")
MIXING = (keras.layers.BatchNormalization,)


def require_exportable(model: keras.Model) -> None:
    """Raises ExportError, in one sentence, for a model that no signature can be traced from."""
    for word, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        for tensor in tensors:
            _require_examples(model, word, tuple(tensor.shape))


def require_trainable(model: keras.Model) -> None:
    """Raises ExportError for weights that cannot train, and for layers whose examples meet."""
    _require_weights(model)
    _require_independent_examples(model)


def require_own_training(model: keras.Model) -> None:
    """Raises ExportError for what is no model, or trains otherwise than by its loss."""
    if not isinstance(model, keras.Model):
        raise ExportError(f"got {type(model).__name__}, expected a Keras model")
    for name in STEPS_OF_FIT:
        if getattr(type(model), name) is not getattr(keras.Model, name):
            raise ExportError(
                f"{type(model).__name__} has a {name} of its own, which no phone follows; export "
                "the inner model with a loss"
            )


def float_variables(model: keras.Model) -> list[keras.Variable]:
    """The variables that are weights; counters and random seeds are not."""
    return [variable for variable in model.variables if variable.dtype == "float32"]


def place_of(layer: keras.layers.Layer) -> str:
    """How an error names a layer: its path, or its name where Keras gives it no path."""
    return f"{layer.path or layer.name} ({type(layer).__name__})"


def leaves(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layers a model calls, inner models opened and layers of the user's that hold layers.

    What a wrapper holds is not seen: it may see the batch in another shape.
    """
    for child in _parts(layer):
        if _parts(child):
            yield from leaves(child)
        else:
            yield child


def layers_with(model: keras.Model, op_type: str) -> list[keras.layers.Layer]:
    """The innermost layers whose forward or backward pass holds an op of ``op_type``."""
    found: list[keras.layers.Layer] = []
    for child in _parts(model):
        inner = layers_with(child, op_type)
        found += inner or ([child] if op_type in _ops_of(child) else [])
    return found


def _parts(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    if hasattr(layer, "layers"):
        return list(layer.layers)
    is_of_keras = type(layer).__module__.partition(".")[0] == "keras"
    if is_of_keras or isinstance(layer, keras.layers.Wrapper):
        return []
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _require_examples(model: keras.Model, word: str, shape: tuple[int | None, ...]) -> None:
    if not shape:
        raise ExportError(f"{model.name} has {word} of shape (), expected one value per example")
    if None in shape[1:]:
        raise ExportError(
            f"{model.name} has {word} of shape {shape}; only the batch may be open, so give the "
            "export inputs=keras.Input(shape) with every other side"
        )


def _require_weights(model: keras.Model) -> None:
    for variable in model.variables:
        if "float" in variable.dtype and variable.dtype != "float32":
            raise ExportError(f"{variable.path} is {variable.dtype}, expected float32")
    paths = [variable.path for variable in float_variables(model)]
    for path in paths:
        if paths.count(path) > 1:
            raise ExportError(f"two weights have the path {path}; give their layers other names")
    if not paths:
        raise ExportError(f"{model.name} has no weights to train")
    if not model.trainable_variables:
        raise ExportError(f"{model.name} is frozen as a whole; set trainable=True on some layers")


def _require_independent_examples(model: keras.Model) -> None:
    """No example may be felt by another; batch normalization is told which are padding."""
    reached = {id(layer) for layer in leaves(model)}
    for layer in model._flatten_layers():
        if isinstance(layer, MIXING) and layer.trainable and id(layer) not in reached:
            raise UnsupportedLayer(
                f"{place_of(layer)} is wrapped in another layer and mixes the examples of a batch, "
                "so padding would change the step; set trainable=False on it, or take it out"
            )
        if getattr(layer, "stateful", False):
            raise UnsupportedLayer(
                f"{place_of(layer)} carries its state from one batch to the next, so one example "
                "would be felt by another; set stateful=False"
            )
        if getattr(layer, "activity_regularizer", None) is not None:
            raise UnsupportedLayer(
                f"{place_of(layer)} has an activity regularizer, which sums over padding too; "
                "use a weight regularizer"
            )


def _alone(layer: keras.layers.Layer) -> keras.Model:
    """The layer as a model; inside a subclassed model Keras knows only its shapes."""
    try:
        return keras.Model(layer.input, layer.output)
    except AttributeError:
        x = keras.Input(tuple(layer.get_build_config()["input_shape"])[1:])
        return keras.Model(x, layer(x))


def _ops_of(layer: keras.layers.Layer) -> frozenset[str]:
    """Op types of the layer alone; empty for a layer that cannot be called by itself."""
    try:
        alone = _alone(layer)
    except (AttributeError, TypeError, ValueError):
        return frozenset()
    specs = [tf.TensorSpec((1, *t.shape[1:]), t.dtype) for t in alone.inputs]

    def step(*inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = alone(list(inputs) if len(specs) > 1 else inputs[0], training=True)
        sources = [*inputs, *(variable.value for variable in alone.trainable_variables)]
        return [g for g in tape.gradient(outputs, sources) if g is not None]

    graph = tf.function(step, autograph=False).get_concrete_function(*specs).graph
    definition = graph.as_graph_def()
    bodies = [definition.node, *(body.node_def for body in definition.library.function)]
    return frozenset(node.op for nodes in bodies for node in nodes)

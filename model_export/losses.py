"""The losses a phone can train with: Keras's own, one value per example instead of a mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import tensorflow as tf

from ..protocol.errors import ExportError

Correct = Callable[[tf.Tensor, tf.Tensor, bool], tf.Tensor]


@dataclass(frozen=True)
class Kind:
    """A family of losses: Keras's class, the labels' dtype, and when an output is right."""

    keras_class: type[keras.losses.Loss]
    label_dtype: tf.DType
    is_correct: Correct


@dataclass(frozen=True)
class Loss:
    """A loss of one ``kind``; ``function`` is the Keras object with its options."""

    name: str
    function: keras.losses.Loss

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    def label_spec(self, outputs: tuple[int | None, ...]) -> tf.TensorSpec:
        """What one batch of labels looks like for outputs of shape [N, …]."""
        is_sparse = self.name == "sparse_categorical_crossentropy"
        shape = outputs[:-1] if is_sparse else outputs
        return tf.TensorSpec(shape, self.kind.label_dtype, name="y")

    def per_example(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of each example, [N]: the mean over whatever else it has."""
        return _per_example(self.function.call(labels, outputs))

    def correct(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The share of each example that is right, [N]; zeros for a regression."""
        from_logits = bool(self.function.get_config().get("from_logits", False))
        return _per_example(tf.cast(self.kind.is_correct(labels, outputs, from_logits), tf.float32))


def loss_of(loss: str | keras.losses.Loss) -> Loss:
    """Finds the loss by name (with Keras's defaults) or takes the object; raises ExportError."""
    if isinstance(loss, str) and loss in KINDS:
        return Loss(loss, KINDS[loss].keras_class())
    for name, kind in KINDS.items():
        if not isinstance(loss, str) and isinstance(loss, kind.keras_class):
            if loss.get_config().get("ignore_class") is not None:
                raise ExportError(f"{name} has ignore_class set; give such examples weight 0")
            return Loss(name, loss)
    raise ExportError(f"got the loss {loss!r}, expected one of {', '.join(KINDS)}")


def _per_example(values: tf.Tensor) -> tf.Tensor:
    others = list(range(1, values.shape.rank))
    return tf.reduce_mean(values, others) if others else values


def _same_class(labels: tf.Tensor, outputs: tf.Tensor, _: bool) -> tf.Tensor:
    return tf.equal(tf.argmax(outputs, -1, tf.int32), tf.argmax(labels, -1, tf.int32))


def _is_class(labels: tf.Tensor, outputs: tf.Tensor, _: bool) -> tf.Tensor:
    return tf.equal(tf.argmax(outputs, -1, tf.int32), labels)


def _same_side(labels: tf.Tensor, outputs: tf.Tensor, from_logits: bool) -> tf.Tensor:
    return tf.equal(outputs > (0.0 if from_logits else 0.5), labels > 0.5)


def _never(labels: tf.Tensor, _: tf.Tensor, __: bool) -> tf.Tensor:
    return tf.zeros_like(labels)


KINDS: Mapping[str, Kind] = {
    "sparse_categorical_crossentropy": Kind(
        keras.losses.SparseCategoricalCrossentropy, tf.int32, _is_class
    ),
    "categorical_crossentropy": Kind(keras.losses.CategoricalCrossentropy, tf.float32, _same_class),
    "binary_crossentropy": Kind(keras.losses.BinaryCrossentropy, tf.float32, _same_side),
    "mean_squared_error": Kind(keras.losses.MeanSquaredError, tf.float32, _never),
    "mean_absolute_error": Kind(keras.losses.MeanAbsoluteError, tf.float32, _never),
    "huber": Kind(keras.losses.Huber, tf.float32, _never),
}

"""The losses a phone can train with: Keras's own, told which examples of a batch count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import tensorflow as tf

from ...protocol.errors import ExportError

ALIASES = {"mse": "mean_squared_error", "mae": "mean_absolute_error"}
MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")
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

    def label_spec(self, outputs: tuple[int | None, ...], *, name: str = "y") -> tf.TensorSpec:
        """What one batch of labels looks like for outputs of shape [N, …]."""
        is_sparse = self.name == "sparse_categorical_crossentropy"
        shape = outputs[:-1] if is_sparse else outputs
        return tf.TensorSpec(shape, self.kind.label_dtype, name=name)

    def mean(self, labels: tf.Tensor, outputs: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """The loss of a batch: 0, not NaN, when it is padding only."""
        return _mean(self.function.call(labels, outputs), _mask_of(outputs), weight)

    def sum(self, labels: tf.Tensor, outputs: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """The mean times the number of examples."""
        return _sum(self.function.call(labels, outputs), _mask_of(outputs), weight)

    def correct_sum(self, labels: tf.Tensor, outputs: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """The share that is right times the number of examples; 0 for a regression."""
        from_logits = bool(self.function.get_config().get("from_logits", False))
        right = tf.cast(self.kind.is_correct(labels, outputs, from_logits), tf.float32)
        mask = _mask_of(outputs)
        if mask is not None:
            right = tf.reduce_mean(right, list(range(mask.shape.rank, right.shape.rank)))
        return _sum(right, mask, weight)


def loss_of(loss: str | keras.losses.Loss) -> Loss:
    """Finds the loss by name (with Keras's defaults) or takes the object; raises ExportError."""
    loss = ALIASES.get(loss, loss) if isinstance(loss, str) else loss
    if isinstance(loss, str) and loss in KINDS:
        return Loss(loss, KINDS[loss].keras_class())
    for name, kind in KINDS.items():
        if not isinstance(loss, str) and isinstance(loss, kind.keras_class):
            if loss.get_config().get("ignore_class") is not None:
                raise ExportError(f"{name} has ignore_class set; give such examples weight 0")
            _require_mean(name, loss)
            return Loss(name, loss)
    raise ExportError(f"got the loss {loss!r}, expected one of {', '.join(KINDS)}")


def _require_mean(name: str, loss: keras.losses.Loss) -> None:
    if loss.reduction not in MEANS:
        raise ExportError(
            f"{name} has reduction={loss.reduction!r}, but a step takes the mean; leave reduction "
            "out and raise the learning rate instead"
        )


def _mask_of(outputs: tf.Tensor) -> tf.Tensor | None:
    """Which entries count, [N, T], where a layer such as Embedding(mask_zero=True) says so."""
    return getattr(outputs, "_keras_mask", None)


def _mean(values: tf.Tensor, mask: tf.Tensor | None, weight: tf.Tensor) -> tf.Tensor:
    """Over the examples that count, or over their entries that count, as Keras does with masks."""
    if mask is None:
        values = _per_example(values)
    else:
        weight = _by_entry(weight, mask, values)
    total = tf.reduce_sum(weight)
    return tf.reduce_sum(values * weight) / tf.where(total > 0, total, 1.0)


def _by_entry(weight: tf.Tensor, mask: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    if values.shape.rank != mask.shape.rank:
        raise ExportError(
            f"a mask of shape {mask.shape} does not fit losses of shape {values.shape}; end the "
            "model in a layer that keeps the time steps, or one that drops the mask"
        )
    each = tf.reshape(weight, (-1, *[1] * (mask.shape.rank - 1)))
    return each * tf.cast(mask, tf.float32)


def _sum(values: tf.Tensor, mask: tf.Tensor | None, weight: tf.Tensor) -> tf.Tensor:
    if mask is None:
        return tf.reduce_sum(_per_example(values) * weight)
    return _mean(values, mask, weight) * tf.reduce_sum(weight)


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

"""The way to the converter is short, and ends where the long one does."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
from pocketfed.model_export.compact import compacted
from pocketfed.model_export.compact.flatbuffer import packed, parsed
from pocketfed.model_export.converting.convert import convert
from pocketfed.model_export.training.losses import loss_of
from pocketfed.model_export.training.optimizers import optimizer_of
from pocketfed.model_export.training.signatures import Program, Trainee, trace
from pocketfed.runtime import quietly


def through_tensorflow(program: Program, folder: Path) -> bytes:
    """What TensorFlow's own class makes of a program."""
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with quietly():
        tf.saved_model.save(
            program.module, folder, signatures=dict(program.functions), options=options
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.experimental_enable_resource_variables = True
        return bytes(converter.convert())


def in_order(model: bytes) -> bytes:
    """The model with its constants sorted: which of several equal ones is kept, is no matter."""
    root = parsed(model)
    first, *others = range(len(root.buffers))
    order = [first, *sorted(others, key=lambda index: bytes(root.buffers[index].data))]
    place = {index: number for number, index in enumerate(order)}
    for holder in (*root.metadata, *(t for graph in root.subgraphs for t in graph.tensors)):
        holder.buffer = place[holder.buffer]
    root.buffers = [root.buffers[index] for index in order]
    return packed(root)


def test_a_model_is_the_one_that_tflite_converter_makes_to_the_bit(
    dense_model: keras.Model, tmp_path: Path
) -> None:
    loss = loss_of(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with quietly():
        program = trace(Trainee(dense_model, loss, optimizer_of("momentum"), 4, 5))
    found, wanted = convert(program), compacted(through_tensorflow(program, tmp_path))
    assert in_order(found) == in_order(wanted)

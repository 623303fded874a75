"""TensorFlow's converter, called as ``tf.lite.TFLiteConverter`` calls it, without its detours.

That class loads the SavedModel into Python twice and the result into objects three times, to learn
the names of the signatures, to share equal constants and to note what made the file: several times
the work of the converter itself. An exporter knows the names, and ``compact`` shares.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import conversion_metadata_schema_py_generated as metadata
from tensorflow.lite.python.convert import convert_saved_model
from tensorflow.lite.python.util import get_model_hash

from ..compact.flatbuffer import add_metadata

SAVED_MODEL_VERSION, API_VERSION = 1, 2
ORIGIN = b"CONVERSION_METADATA"


def converted(module: tf.Module, functions: Mapping[str, Any]) -> bytes:
    """The .tflite of functions by signature name, in builtin ops, with the variables of ``module``.

    Raises ConverterError.
    """
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=dict(functions), options=options)
        return bytes(
            convert_saved_model(
                saved_model_dir=folder,
                saved_model_version=SAVED_MODEL_VERSION,
                saved_model_tags={tf.saved_model.SERVING},
                saved_model_exported_names=sorted(functions),
                target_ops=[tf.lite.OpsSet.TFLITE_BUILTINS],
                enable_tflite_resource_variables=True,
                enable_composite_direct_lowering=True,
            )
        )


def sign(root: Any) -> None:
    """Adds to a parsed model what made it, as ``tf.lite.TFLiteConverter`` does."""
    add_metadata(root, ORIGIN, _origin(root))


def _origin(root: Any) -> Any:
    origin: Any = metadata.ConversionMetadataT()
    environment = origin.environment = metadata.EnvironmentT()
    environment.tensorflowVersion = tf.__version__
    environment.apiVersion = API_VERSION
    environment.modelType = metadata.ModelType.TF_SAVED_MODEL
    environment.modelHash = get_model_hash(root)
    origin.options = metadata.ConversionOptionsT()
    origin.options.modelOptimizationModes = []
    builder = flatbuffers.Builder(0)
    builder.Finish(origin.Pack(builder))
    return np.frombuffer(bytes(builder.Output()), np.uint8)

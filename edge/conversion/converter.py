"""TensorFlow's converter from a Keras model to a .tflite file's content, with its output suppressed."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfc.base.errors import ModelFileError
from tfc.keras_files.loading import load_model, tfmot_wrappers


@contextlib.contextmanager
def quiet_converter() -> Iterator[None]:
    """Suppresses what the converter's C++ code writes to standard error; its errors are raised as exceptions."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            logger.setLevel(level)


def _converter(model: tf.keras.Model) -> tf.lite.TFLiteConverter:
    # A fixed batch of one: with a batch of unknown size, some operators are shape arithmetic instead of constants.
    function = tf.function(lambda x: model(x, training=False))
    signature = tf.TensorSpec((1, *model.input_shape[1:]), model.input.dtype, name="input")
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(signature)], model)


def to_float32(model: tf.keras.Model) -> bytes:
    """Converts to float32, the baseline.

    Args:
        model: Keras model with one input and one output.

    Returns:
        Content of a .tflite file.
    """
    return bytes(_converter(model).convert())


def to_int8(model: tf.keras.Model, calibration: np.ndarray) -> bytes:
    """Converts to full int8, inputs and outputs included.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
    (arXiv 1712.05877); TensorFlow Lite 8-bit quantization specification.

    Args:
        model: Keras model with one input and one output.
        calibration: Representative data set, float32 (examples, *input_shape).

    Returns:
        Content of a .tflite file.
    """
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[None]] for example in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _stripped(model: tf.keras.Model) -> tf.keras.Model:
    """Takes tfmot's wrappers for clustering and pruning off; those of quantisation are what the converter goes by."""
    if not tfmot_wrappers(model):
        return model
    import tensorflow_model_optimization as tfmot

    kinds = {type(layer).__name__ for layer in model.layers}
    if "ClusterWeights" in kinds:
        model = tfmot.clustering.keras.strip_clustering(model)
    if "PruneLowMagnitude" in kinds:
        model = tfmot.sparsity.keras.strip_pruning(model)
    return model


def load_keras_model(path: Path) -> tf.keras.Model:
    """Loads a Keras model file.

    Args:
        path: `.keras` or `.h5` file of a model with one input and one output; tfmot's wrappers for clustering
            and pruning are removed. Also `.keras` files of Keras 3.

    Raises:
        ModelFileError: If it is missing, damaged, or not such a model.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file; a run leaves its model as runs/NAME/model.keras")
    model = _stripped(load_model(path))
    if not getattr(model, "inputs", None):
        raise ModelFileError(f"{path}: the model was never built; call it once, then save it")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelFileError(
            f"{path}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs; one each is supported"
        )
    if any(size is None for size in model.input_shape[1:]):
        raise ModelFileError(f"{path}: the input shape {model.input_shape} is not fixed")
    return model

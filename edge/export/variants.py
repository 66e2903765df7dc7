"""The variants of a model, by name: how each is made from a Keras model."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from edge.errors import EdgeError, ModelFileError
from edge.files import read_inputs
from tfc.codec.whole_file import written_whole


@contextlib.contextmanager
def _quiet_converter() -> Iterator[None]:
    """Swallows what the converter writes to standard error past Python; its errors come as exceptions."""
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


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _converter(model: tf.keras.Model) -> tf.lite.TFLiteConverter:
    # A fixed batch of one: with a batch of unknown size, some operators are shape arithmetic instead of constants.
    function = tf.function(lambda x: model(x, training=False))
    signature = tf.TensorSpec((1, *model.input_shape[1:]), model.input.dtype, name="input")
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function(signature)], model)


def to_float32(model: tf.keras.Model, calibration: np.ndarray | None) -> bytes:
    """Converts to float32, the baseline.

    Args:
        model: Keras model with one input and one output.
        calibration: Unused.

    Returns:
        Content of a .tflite file.
    """
    return bytes(_converter(model).convert())


def to_int8(model: tf.keras.Model, calibration: np.ndarray | None) -> bytes:
    """Converts to full int8, inputs and outputs included.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
    (arXiv 1712.05877); TensorFlow Lite 8-bit quantization specification.

    Args:
        model: Keras model with one input and one output.
        calibration: Representative data set, float32 (examples, *input_shape).

    Returns:
        Content of a .tflite file.

    Raises:
        EdgeError: If there is no calibration data.
    """
    if calibration is None:
        raise EdgeError("int8 needs a representative data set: --calibration FILE.npz (see 'tfc data --help')")
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[None]] for example in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


VARIANTS: dict[str, Callable[[tf.keras.Model, np.ndarray | None], bytes]] = {"f32": to_float32, "int8": to_int8}
"""Variants by name: (model, calibration data or None) -> content of a .tflite file."""


def load_keras_model(path: Path) -> tf.keras.Model:
    """Loads a Keras model file.

    Args:
        path: `.keras` or `.h5` file of a model with one input and one output.

    Raises:
        ModelFileError: If it is missing, damaged, or not such a model.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file; a run leaves its model as runs/NAME/model.keras")
    try:
        model = tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the damaged part raises
        raise ModelFileError(f"{path}: not a Keras model that loads: {_first_line(error)}") from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelFileError(
            f"{path}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs; one each is supported"
        )
    if any(size is None for size in model.input_shape[1:]):
        raise ModelFileError(f"{path}: the input shape {model.input_shape} is not fixed")
    return model


def export(
    source: Path,
    out: Path,
    variants: tuple[str, ...] = ("f32",),
    calibration: Path | None = None,
    name: str | None = None,
) -> dict[str, Path]:
    """Exports a Keras model file.

    Args:
        source: The Keras model.
        out: Folder for NAME-VARIANT.tflite.
        variants: Keys of `VARIANTS`.
        calibration: NPZ with x, the representative data set; needed for int8.
        name: NAME; the source's name without suffix where None.

    Returns:
        Path of each variant.

    Raises:
        EdgeError: If a variant is unknown, or the model or the data don't allow it; nothing is written then.
    """
    unknown = [variant for variant in variants if variant not in VARIANTS]
    if unknown or not variants:
        raise EdgeError(f"unknown variant {', '.join(unknown) or '(none)'}; known: {', '.join(VARIANTS)}")
    model = load_keras_model(source)
    inputs = read_inputs(calibration, tuple(model.input_shape[1:])) if calibration else None
    contents = {}
    for variant in variants:
        try:
            with _quiet_converter():
                contents[variant] = VARIANTS[variant](model, inputs)
        except EdgeError:
            raise
        except Exception as error:  # the converter's own errors have no common base
            raise ModelFileError(f"{source}: cannot be converted to {variant}: {_first_line(error)}") from error
    paths = {}
    for variant, content in contents.items():
        path = out / f"{name or source.stem}-{variant}.tflite"
        with written_whole(path) as temporary:
            temporary.write_bytes(content)
        paths[variant] = path
    return paths

"""TensorFlow's converter from a Keras model to a .tflite file's content, with its output suppressed."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.optimize import calibrator

from edge.conversion.calibration import Inputs
from edge.conversion.flatbuffer import FlatbufferModel
from tfc.base.errors import DataFileError, ModelFileError


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


class _ResettingWrapper:
    """TensorFlow's calibrator, with its model's state (LSTM, streams) reset before each example.

    The converter's own leaves the state of one example to the next, so that it measures ranges which no single example
    has: an LSTM's classifier was calibrated to -0.29 to 0.27 where its outputs go from -0.36 to 0.23.
    """

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._prepared: tuple[Any, ...] = ()

    def Prepare(self, *shapes: Any) -> None:  # noqa: N802
        """Allocates the tensors, and resets the state."""
        self._prepared = shapes
        self._wrapper.Prepare(*shapes)

    def FeedTensor(self, *example: Any) -> Any:  # noqa: N802
        """Runs an example."""
        self._wrapper.Prepare(*self._prepared)
        return self._wrapper.FeedTensor(*example)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapper, name)


@contextlib.contextmanager
def state_reset_between_examples() -> Iterator[None]:
    """Replaces the class that the converter's Python code calibrates with; there is no option for it."""
    module = calibrator._calibration_wrapper
    original = module.CalibrationWrapper
    module.CalibrationWrapper = lambda *model: _ResettingWrapper(original(*model))
    try:
        yield
    finally:
        module.CalibrationWrapper = original


def _input_marks(model: tf.keras.Model) -> list[str]:
    """Names that inputs have during the conversion: whatever their own are, these are legal in a signature."""
    return ["input"] if len(model.inputs) == 1 else [f"input_{number}" for number in range(len(model.inputs))]


def _converter(model: tf.keras.Model) -> tf.lite.TFLiteConverter:
    def run(*inputs: tf.Tensor) -> Any:
        outputs = tf.nest.flatten(model(tf.nest.pack_sequence_as(model.input, inputs), training=False))
        return outputs if len(outputs) > 1 else outputs[0]

    # A fixed batch of one: with a batch of unknown size, some operators are shape arithmetic instead of constants.
    signature = [
        tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=mark)
        for mark, tensor in zip(_input_marks(model), model.inputs, strict=True)
    ]
    return tf.lite.TFLiteConverter.from_concrete_functions([tf.function(run).get_concrete_function(*signature)], model)


def _in_keras_order(model: tf.keras.Model, content: bytes) -> bytes:
    """The converter orders inputs and outputs as it likes; this restores the model's order, and their names."""
    if len(model.inputs) == 1 and len(model.outputs) == 1:
        return content
    marks = _input_marks(model)
    names = sorted(model.output) if isinstance(model.output, dict) else model.output_names
    outputs = [f"output_{number}" for number in range(len(model.outputs))]
    arranged = FlatbufferModel(content)
    arranged.arrange_boundary(
        dict(zip(marks, model.input_names if len(marks) > 1 else marks, strict=True)),
        dict(zip(outputs if len(outputs) > 1 else ["output_0"], names, strict=True)),
    )
    return arranged.to_bytes()


def to_float32(model: tf.keras.Model) -> bytes:
    """Converts to float32, the baseline.

    Args:
        model: A built Keras model.

    Returns:
        Content of a .tflite file.
    """
    return _in_keras_order(model, bytes(_converter(model).convert()))


_NARROW = (tf.uint8, tf.int8)


def _with_float_inputs(model: tf.keras.Model) -> tf.keras.Model:
    """The same model for floats in place of bytes: the converter leaves a cast of bytes in floating point."""
    inputs = [
        tf.keras.Input(tuple(tensor.shape[1:]), name=name, dtype="float32" if tensor.dtype in _NARROW else tensor.dtype)
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    ]
    made = tf.keras.models.clone_model(model, input_tensors=inputs)
    made.set_weights(model.get_weights())
    return made


def _over_whole_range(values: np.ndarray) -> np.ndarray:
    """Bytes as floats, with the smallest and the largest byte among them: the input's scale is then 1, its offset 0."""
    if values.dtype not in (np.uint8, np.int8):
        return values
    limits = np.iinfo(values.dtype)
    spread = values.astype(np.float32)
    if spread.size == 1:
        raise DataFileError("calibration data of one byte do not show the range of the model's input")
    spread.flat[0], spread.flat[-1] = limits.min, limits.max
    return spread


def to_int8(model: tf.keras.Model, calibration: np.ndarray | Inputs) -> bytes:
    """Converts to full int8, inputs and outputs included; inputs that are integers keep their type and their meaning.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
    (arXiv 1712.05877); TensorFlow Lite 8-bit quantization specification.

    Args:
        model: A built Keras model.
        calibration: Representative data set, (examples, *input_shape), or a tuple of these, one per input.

    Returns:
        Content of a .tflite file.
    """
    inputs = calibration if isinstance(calibration, tuple) else (calibration,)
    narrow = {tf.as_dtype(tensor.dtype) for tensor in model.inputs} & {*_NARROW}
    if len(narrow) > 1:
        raise ModelFileError("it has inputs of uint8 and of int8; the converter gives all of them one type")
    if narrow:
        model, inputs = _with_float_inputs(model), tuple(map(_over_whole_range, inputs))
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    marks = _input_marks(model)

    def examples() -> Iterator[Any]:
        for each in zip(*inputs, strict=True):
            named = {mark: value[None] for mark, value in zip(marks, each, strict=True)}
            yield named if len(named) > 1 else list(named.values())

    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = narrow.pop() if narrow else tf.int8
    converter.inference_output_type = tf.int8
    with state_reset_between_examples():
        return _in_keras_order(model, bytes(converter.convert()))

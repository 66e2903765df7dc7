"""What a model costs, against Keras' shapes and the microcontroller interpreter's arena."""

import numpy as np
import pytest
import tensorflow as tf

from edge.conversion.converter import quiet_converter, to_float32
from edge.formats.costs import costs_of
from edge.formats.inspection import inspect
from edge.formats.tflite_reader import TfliteView
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime

layers = tf.keras.layers

CASES = {
    "convolution": (lambda: layers.Conv2D(6, 3, strides=2, padding="same"), 5 * 5 * 6 * 9 * 4),
    "depthwise": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), 7 * 8 * 8 * 9),
    "transposed": (lambda: layers.Conv2DTranspose(6, 3, strides=2), 9 * 10 * 4 * 9 * 6),
    "dense": (lambda: layers.Dense(6), 9 * 10 * 4 * 6),
    "pooling": (lambda: layers.MaxPooling2D(), 0),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_macs_of_a_layer(name):
    make, macs = CASES[name]
    with quiet_converter():
        content = to_float32(tf.keras.Sequential([layers.Input((9, 10, 4)), make()]))
    assert costs_of(TfliteView(content)).macs == macs


def test_macs_of_a_matrix_product_and_an_lstm():
    first, second = tf.keras.Input((5, 7)), tf.keras.Input((7, 3))
    with quiet_converter():
        product = to_float32(tf.keras.Model([first, second], tf.matmul(first, second)))
        lstm = to_float32(tf.keras.Sequential([layers.Input((6, 8)), layers.LSTM(5)]))
    assert costs_of(TfliteView(product)).macs == 5 * 7 * 3
    assert costs_of(TfliteView(lstm)).macs == 6 * 4 * (8 * 5 + 5 * 5)


@pytest.mark.parametrize("variant", ["int8", "lut"])
def test_activations_are_a_lower_limit_of_the_arena(exported, variant):
    found = inspect(exported / f"model-{variant}.tflite")
    scratch, _ = TfliteModel(exported / f"model-{variant}.tflite", find_runtime("tflm")).arena_parts()
    assert 0.5 * scratch < found["activation_bytes"] <= scratch


def test_constants_by_kind(exported):
    int8, lut = (inspect(exported / f"model-{variant}.tflite") for variant in ("int8", "lut"))
    view = TfliteView((exported / "model-int8.tflite").read_bytes())
    kernels = sum(view.tensors[kernel.tensor].num_bytes for kernel in view.kernels)
    assert int8["weight_bytes"]["kernels"] == kernels and not int8["weight_bytes"]["tables"]
    assert (
        0 < lut["weight_bytes"]["tables"] < kernels and lut["weight_bytes"]["biases"] == int8["weight_bytes"]["biases"]
    )
    assert lut["operators"]["TFLM_DECODE"] >= 1 and lut["macs"] == int8["macs"]
    (given,) = int8["inputs"]
    boundary = TfliteModel(exported / "model-int8.tflite", find_runtime("litert")).inputs[0]
    assert (given["scale"], given["zero_point"]) == (np.float32(boundary.scale), boundary.zero_point)
    assert given["shape"] == list(boundary.shape) and given["type"] == "int8"

"""A kernel's rows times what the layout says they are multiplied by is what the interpreter computes."""

import numpy as np
import pytest
import tensorflow as tf

from edge.conversion import kernel_inputs
from edge.conversion.converter import quiet_converter, to_float32
from edge.conversion.flatbuffer import FlatbufferModel
from edge.conversion.kernel_inputs import moments_of
from edge.conversion.kernel_layout import layout_of

layers = tf.keras.layers

LAYERS = {
    "convolution": lambda: layers.Conv2D(6, 3, padding="same"),
    "strided": lambda: layers.Conv2D(6, (2, 3), strides=2, padding="valid"),
    "dilated": lambda: layers.Conv2D(6, 3, dilation_rate=2, padding="same"),
    "grouped": lambda: layers.Conv2D(6, 3, groups=2, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, strides=2, padding="same"),
    "multiplied": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
    "transposed": lambda: layers.Conv2DTranspose(6, (3, 2), strides=(2, 1), padding="valid"),
    "dense": lambda: layers.Dense(6),
}


@pytest.fixture(scope="module", params=sorted(LAYERS))
def opened(request):
    """A model of one layer, its file, and inputs."""
    model = tf.keras.Sequential([layers.Input((9, 10, 4)), LAYERS[request.param]()])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weights.shape) for weights in model.get_weights()])
    with quiet_converter():
        content = to_float32(model)
    return FlatbufferModel(content), content, rng.normal(size=(3, 9, 10, 4)).astype(np.float32)


def run(content, x):
    """The outputs of a file."""
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    found = []
    for each in x:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], each[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.stack(found)


def test_the_outputs_of_an_operator(opened):
    model, content, x = opened
    (use,) = model.kernel_uses()
    layout = layout_of(model, use)
    kernel = model.constant(use.kernel)
    rows = layout.rows_of(kernel)
    assert rows.shape == (layout.groups, layout.rows, layout.columns)
    assert (layout.kernel_of(rows) == kernel).all()
    found = np.einsum("nijgc,grc->nijgr", layout.inputs(x.astype(np.float64)), rows)
    bias = model.constant(use.bias) if use.bias else 0.0
    expected = run(content, x)
    np.testing.assert_allclose(found.reshape(expected.shape) + bias, expected, atol=1e-4)


def test_moments_are_those_of_the_inputs(opened, monkeypatch):
    monkeypatch.setattr(kernel_inputs, "_PATCHES_PER_EXAMPLE", 1000)
    model, _, x = opened
    (use,) = model.kernel_uses()
    layout = layout_of(model, use)
    seen = layout.inputs(x.astype(np.float64)).reshape(-1, layout.groups, layout.columns)
    found = moments_of(model, {use: layout}, (x,))[use.kernel]
    np.testing.assert_allclose(found.mean, seen.mean(axis=0), atol=1e-6)
    for group in range(layout.groups):
        np.testing.assert_allclose(found.covariance[group], np.cov(seen[:, group].T, bias=True), atol=1e-6)

"""Files of Keras 3, written by the test. Real ones: test_keras3_system.py."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf
from keras3_files import call, dense, functional, input_layer, layer, save, sequential, tensor

from tfc.base.errors import ConfigError, ModelFileError
from tfc.keras_files.keras3_layers import LAYERS
from tfc.keras_files.keras3_objects import ACTIVATIONS
from tfc.keras_files.loading import load_model
from tfc.models.model_contract import ExpectedData
from tfc.models.own_model import own_model

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(7, 6)).astype(np.float32)


def values(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def mlp():
    """A functional model with a nested one that is called twice, an operation, and statistics of adapt()."""
    inner = [input_layer("input_inner", 6), dense("first", 6, activation="silu", trainable=False)]
    layers = [
        input_layer("start", 6),
        layer(
            "Normalization", "statistics", call(tensor("start", 6)), axis=[-1], invert=False, mean=None, variance=None
        ),
        sequential(
            "inner",
            inner,
            (6,),
            call(tensor("statistics", 6), mask=None),
            call(tensor("inner", 6), training=False, mask=None),
        ),
        layer("Add", "add", call(tensor("inner", 6, call=1), tensor("statistics", 6)), module="keras.src.ops.numpy"),
        layer("Add", "add_1", call(tensor("add", 6), 0.5), module="keras.src.ops.numpy"),
        layer("LeakyReLU", "leaky_re_lu", call(tensor("add_1", 6)), negative_slope=0.2),
        dense("logits", 4, call(tensor("leaky_re_lu", 6))),
    ]
    weights = {
        "layers/normalization": [values(6), values(6) ** 2 + 0.5, np.int32(50)],
        "layers/sequential/layers/dense": [values(6, 6), values(6)],
        "layers/dense": [values(6, 4), values(4)],
    }
    return functional("mlp", layers, "start", "logits"), weights


def mlp_outputs(weights, x):
    mean, variance, _ = weights["layers/normalization"]
    kernel, bias = weights["layers/sequential/layers/dense"]
    start = (x - mean) / np.sqrt(variance)
    y = start
    for _ in range(2):
        y = y @ kernel + bias
        y = y / (1 + np.exp(-y))
    y = y + start + 0.5
    y = np.where(y > 0, y, 0.2 * y)
    return y @ weights["layers/dense"][0] + weights["layers/dense"][1]


def recurrent():
    """A sequential model whose layers keep their weights in cells and sublayers."""
    cell = {"units": 3, "activation": "tanh", "use_bias": True, "return_sequences": False, "seed": None}

    def rnn(name, backwards):
        return layer("SimpleRNN", name, **cell, go_backwards=backwards, zero_output_for_mask=False)

    both = {"merge_mode": "concat", "layer": rnn("forward_r", False), "backward_layer": rnn("backward_r", True)}
    layers = [input_layer("start", 3, 2), layer("Bidirectional", "both", **both), dense("logits", 2)]
    weights = {
        "layers/bidirectional/forward_layer/cell": [values(2, 3), values(3, 3), values(3)],
        "layers/bidirectional/backward_layer/cell": [values(2, 3), values(3, 3), values(3)],
        "layers/dense": [values(6, 2), values(2)],
    }
    return sequential("recurrent", layers, (3, 2)), weights


def recurrent_outputs(weights, x):
    found = []
    for name, steps in (("forward", (0, 1, 2)), ("backward", (2, 1, 0))):
        kernel, inner, bias = weights[f"layers/bidirectional/{name}_layer/cell"]
        state = np.zeros((len(x), 3))
        for step in steps:
            state = np.tanh(x[:, step] @ kernel + state @ inner + bias)
        found.append(state)
    return np.concatenate(found, axis=1) @ weights["layers/dense"][0] + weights["layers/dense"][1]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.keras"


def test_functional_models_have_equal_outputs(path):
    configuration, weights = mlp()
    save(path, configuration, weights, {"layers/dense": "logits", "layers/sequential": "inner"})
    model = load_model(path)
    np.testing.assert_allclose(model(X), mlp_outputs(weights, X), rtol=1e-5, atol=1e-5)
    assert [layer.name for layer in model.layers if layer.weights] == ["inner", "logits"]
    assert not model.get_layer("inner").get_layer("first").trainable
    assert len(model.trainable_weights) == 2
    assert float(model.get_layer("logits").kernel_regularizer.l2) == pytest.approx(0.01)
    assert not [weight for weight in model.weights if weight.dtype != tf.float32]


def test_sequential_models_have_equal_outputs(path):
    configuration, weights = recurrent()
    save(path, configuration, weights)
    x = values(5, 3, 2)
    np.testing.assert_allclose(load_model(path)(x), recurrent_outputs(weights, x), rtol=1e-5, atol=1e-5)


def test_the_content_decides_and_not_the_name(tmp_path):
    configuration, weights = recurrent()
    save(tmp_path / "m.h5", configuration, weights)
    assert load_model(tmp_path / "m.h5").count_params() == sum(each.size for held in weights.values() for each in held)


def test_training_gets_it(path):
    configuration, weights = mlp()
    save(path, configuration, weights)
    build = own_model(path, ExpectedData((6,), 4))
    np.testing.assert_allclose(build()(X), mlp_outputs(weights, X), rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match=r"^model\.name=.*m\.keras: .*the data have 5 classes$"):
        own_model(path, ExpectedData((6,), 5))


def changed(**settings):
    def change(configuration, weights):
        configuration["config"]["layers"][-1]["config"].update(settings)

    return change


def replaced(**parts):
    def change(configuration, weights):
        configuration["config"]["layers"][-1].update(parts)

    return change


def lacking(configuration, weights):
    del weights["layers/dense"]


def left_over(configuration, weights):
    weights["layers/conv2d"] = [values(3)]


def turned(configuration, weights):
    weights["layers/dense"][0] = weights["layers/dense"][0].T


def in_a_circle(configuration, weights):
    configuration["config"]["layers"][2]["inbound_nodes"][0] = call(tensor("logits", 6))


def with_state(configuration, weights):
    configuration["config"]["layers"][-1]["inbound_nodes"][0]["kwargs"] = {"initial_state": tensor("start", 6)}


def named_inputs(configuration, weights):
    configuration["config"]["input_layers"] = {"a": ["start", 0, 0]}


LOGITS = r"layer logits \(class Dense\)"


@pytest.mark.parametrize(
    "change,message",
    [
        (replaced(class_name="Mine"), r"layer logits \(class Mine\) is not known here"),
        (replaced(module="os", class_name="system"), r"layer logits \(class system\) is not known here"),
        (replaced(module="keras.utils"), LOGITS + " is not known here"),
        (replaced(class_name="Lambda"), r"layer logits \(class Lambda\) is not known here"),
        (replaced(class_name="LSTM\nmore"), r"\(class 'LSTM\\nmore'\) is not known here"),
        (changed(activation="hard_sigmoid"), LOGITS + " has the activation hard_sigmoid, which is not known here"),
        (
            changed(activation={"class_name": "function", "module": "os", "config": "system"}),
            "has the activation system",
        ),
        (
            changed(kernel_initializer={"module": "os", "class_name": "Zeros", "config": {}}),
            "has the initializer Zeros",
        ),
        (changed(kernel_regularizer={"class_name": "Popen"}), "has the regularizer Popen, which is not known here"),
        (changed(lora_rank=4), LOGITS + " has the setting lora_rank, which is not known here"),
        (changed(dtype="mixed_bfloat16"), LOGITS + " computes in mixed_bfloat16: save the model with dtype float32"),
        (lacking, LOGITS + " has no weights in the file"),
        (left_over, "the file holds weights that no layer has: layers/conv2d/vars/0"),
        (turned, LOGITS + r" has weights of other shapes in the file \(\(4, 6\), \(4,\)\) than in the model"),
        (in_a_circle, "is called with the result of a call that is never made"),
        (with_state, LOGITS + " is called with initial_state, which is not known here"),
        (named_inputs, "has inputs or outputs with names"),
    ],
)
def test_what_is_not_known_is_named_in_one_line(change, message, path):
    configuration, weights = mlp()
    change(configuration, weights)
    save(path, configuration, weights)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: not a Keras model that loads: saved by Keras 3.15.1: ")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < len(str(path)) + 300


def test_weights_of_another_layer_are_noticed(path):
    configuration, weights = mlp()
    save(path, configuration, weights, {"layers/dense": "other"})
    with pytest.raises(ModelFileError, match="has the weights of other where those of its layer logits are expected"):
        load_model(path)


def test_hdf5_of_keras_3_says_what_to_do(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["keras_version"] = "3.9.0"
        file.attrs["model_config"] = json.dumps(mlp()[0])
    with pytest.raises(ModelFileError, match=r"saved by Keras 3\.9\.0 as HDF5: save it there with"):
        load_model(tmp_path / "m.h5")


def test_damaged_files_give_one_line(path):
    configuration, weights = recurrent()
    save(path, configuration, weights)
    content = path.read_bytes()
    loaded = 0
    for position in range(0, len(content), 97):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x5A]) + content[position + 1 :])
        try:
            load_model(path)
            loaded += 1  # in a weight's value, or in what nobody reads
        except ModelFileError as error:
            assert "\n" not in str(error) and len(str(error)) < len(str(path)) + 400
    assert loaded < len(content) / 97 / 2  # an archive has checksums
    for length in range(0, len(content), 501):
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            load_model(path)


def test_configurations_of_any_form_give_one_line(path):
    """What JSON can hold in every place of a configuration."""
    configuration, weights = mlp()
    save(path, configuration, weights)
    with zipfile.ZipFile(path) as archive:
        hdf5 = archive.read("model.weights.h5")

    def places(value, at=()):
        yield at
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, below in items:
            yield from places(below, (*at, key))

    tried = 0
    for number, at in enumerate(places(configuration)):
        if not at or number % 13:
            continue
        for odd in (None, 5, "text", [], {}, [[]], {"class_name": []}):
            copied = json.loads(json.dumps(configuration))
            inside = copied
            for key in at[:-1]:
                inside = inside[key]
            inside[at[-1]] = odd
            content = io.BytesIO()
            with zipfile.ZipFile(content, "w") as archive:
                archive.writestr("metadata.json", json.dumps({"keras_version": "3.1.0"}))
                archive.writestr("config.json", json.dumps(copied))
                archive.writestr("model.weights.h5", hdf5)
            path.write_bytes(content.getvalue())
            tried += 1
            try:
                load_model(path)
            except ModelFileError as error:
                assert "\n" not in str(error)
    assert tried > 60


def test_every_row_of_the_table_is_a_layer_of_keras_2():
    for name in LAYERS:
        assert issubclass(getattr(tf.keras.layers, name), tf.keras.layers.Layer)
    for name in ACTIVATIONS.values():
        assert callable(getattr(tf.keras.activations, name))

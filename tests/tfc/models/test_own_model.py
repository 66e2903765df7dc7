"""A user's own Keras model, from a file."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from tiny_federation import DATA_TYPE, settings

from tfc import config
from tfc.base.errors import ConfigError
from tfc.cli import main
from tfc.models.model_contract import ExpectedData
from tfc.models.own_model import own_model
from tfc.registries import METHODS
from tfc.simulation.folder import read_run

layers = tf.keras.layers
SHAPE, CLASSES = (8, 8, 1), 4
DATA = ExpectedData(SHAPE, CLASSES)


def model(embedding="embedding", classes=CLASSES, activation=None, shape=SHAPE):
    x = inputs = tf.keras.Input(shape)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D(name=embedding)(x)
    return tf.keras.Model(inputs, layers.Dense(classes, activation=activation)(x))


@pytest.fixture(params=["m.keras", "m.h5"])
def file(request, tmp_path):
    path = tmp_path / request.param
    made = model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras calls .h5 old
        made.save(path)
    return path


def test_copies_have_the_files_weights_and_are_not_each_other(file):
    build = own_model(file, DATA)
    first, second = build(), build()
    saved = tf.keras.models.load_model(file, compile=False)
    for one, other in zip(first.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    first.layers[1].kernel.assign_add(tf.ones_like(first.layers[1].kernel))
    np.testing.assert_array_equal(second.layers[1].kernel, saved.layers[1].kernel)


def test_training_starts_at_the_files_weights(worker, tmp_path):
    model().save(tmp_path / "m.keras")
    build = own_model(tmp_path / "m.keras", DATA)
    tiny = config.from_dict({**config.to_dict(settings()), "model": {"initial": "own"}})
    process = METHODS["fedavg"](build, DATA_TYPE, tiny)
    found = process.get_model_weights(process.initialize())
    expected = build()
    for value, variable in zip(found.trainable, expected.trainable_variables, strict=True):
        np.testing.assert_array_equal(value, variable)
    for value, variable in zip(found.non_trainable, expected.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(value, variable)


def test_run_trains_it(worker, tiny_settings, tmp_path, capsys):
    model().save(tmp_path / "my.keras")
    sets = [*tiny_settings, "method=fedavg", "rounds=1", f"model.name={tmp_path / 'my.keras'}"]
    words = [word for each in sets for word in ("--set", each)]
    assert main(["run", "demo", *words, "--out", str(tmp_path / "run"), "--quiet"]) == 0
    run = read_run(tmp_path / "run")
    assert run.summary["parameters"] == model().count_params()
    trained = tf.keras.models.load_model(tmp_path / "run" / "model.keras")
    assert [layer.name for layer in trained.layers].count("embedding") == 1


@pytest.mark.parametrize(
    "made,message",
    [
        (lambda: model(classes=7), r"has outputs of shape \(7,\), the data have 4 classes"),
        (lambda: model(activation="softmax"), "ends with a softmax: the last layer must give logits"),
        (lambda: model(shape=(9, 9, 1)), r"takes inputs of shape \(9, 9, 1\), the data have \(8, 8, 1\)"),
    ],
)
def test_models_that_do_not_fit_say_what_to_change(made, message, tmp_path):
    made().save(tmp_path / "m.keras")
    with pytest.raises(ConfigError, match=message):
        own_model(tmp_path / "m.keras", DATA)


def test_files_that_are_none(tmp_path):
    (tmp_path / "m.keras").write_text("hello")
    for name in ("m.keras", "none.keras"):
        with pytest.raises(ConfigError, match=rf"{name}: not a Keras model that loads"):
            own_model(tmp_path / name, DATA)
    with pytest.raises(
        ConfigError, match=r"model\.name must be one of resnet8, resnet20, mobilenet, dscnn, conv1d, or a file"
    ):
        config.load("demo", ["model.name=resnet9"])


def test_a_model_that_fits_no_data_is_refused_before_slow_data_are_read(tmp_path, capsys):
    slow = ["run", "speech-commands-mobilenet", "--out", str(tmp_path / "run"), "--quiet", "--set"]
    model(activation="softmax").save(tmp_path / "soft.keras")
    assert main([*slow, f"model.name={tmp_path / 'soft.keras'}"]) == 1
    assert "soft.keras: ends with a softmax" in capsys.readouterr().err
    open_inputs = tf.keras.Sequential([layers.Flatten(), layers.Dense(CLASSES)])
    open_inputs.build((None, *SHAPE))
    open_inputs.save(tmp_path / "open.keras")
    assert main([*slow, f"model.name={tmp_path / 'open.keras'}"]) == 1
    assert "Speech Commands: its folder not found" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()

"""The door for model files: files that would run code are refused before they do, honest ones load."""

import copy
import json
import subprocess
import sys
import warnings
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot

from edge.conversion.keras_file import load_keras_model
from tfc.base.errors import ConfigError, ModelFileError, UnsafeModelError
from tfc.keras_files.loading import load_model, tfmot_wrappers
from tfc.models.model_contract import ExpectedData
from tfc.models.own_model import own_model

layers = tf.keras.layers


@tf.keras.saving.register_keras_serializable("fedcompress_tests")
class Doubled(layers.Layer):
    """A user's own layer."""

    def call(self, x):
        return x * 2


class Tripled(layers.Layer):
    """Another, which is not registered."""

    def call(self, x):
        return x * 3


def small(*more):
    x = inputs = tf.keras.Input((4,))
    for layer in (layers.Dense(3, activation="relu", name="first"), *more, layers.Dense(2, name="last")):
        x = layer(x)
    return tf.keras.Model(inputs, x)


def written(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras calls .h5 old
        model.save(path)
    return path


def rewritten(path, change):
    """The file with its configuration changed."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            configuration = json.loads(file.attrs["model_config"])
            change(configuration)
            file.attrs["model_config"] = json.dumps(configuration)
        return path
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    configuration = json.loads(held["config.json"])
    change(configuration)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (held | {"config.json": json.dumps(configuration)}).items():
            archive.writestr(name, content)
    return path


def layer_of(configuration, name):
    return next(each for each in configuration["config"]["layers"] if each["config"]["name"] == name)


@pytest.fixture
def marker(tmp_path):
    """A file that a hostile model makes; nothing may have made it when a test ends."""
    path = tmp_path / "marker"
    yield path
    assert not path.exists()


@pytest.fixture(params=["m.keras", "m.h5"])
def file(request, tmp_path):
    return tmp_path / request.param


def popen(marker):
    return {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", str(marker)]}}


def system():
    return {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"}


def in_setting(key, value):
    return lambda configuration: layer_of(configuration, "last")["config"].update({key: value})


def in_place_of_the_layer(**parts):
    return lambda configuration: layer_of(configuration, "last").update(parts)


def as_lambda(function, **settings):
    """A Lambda layer as Keras stores one: with a function of any module, or byte code."""

    def change(configuration):
        changed = layer_of(configuration, "last")
        changed["class_name"] = "Lambda"
        changed["config"] = {"name": "last", "function": function, "function_type": "function", **settings}

    return change


def tensorflow_function(function, **arguments):
    def change(configuration):
        changed = layer_of(configuration, "last")
        changed |= {"class_name": "TFOpLambda", "config": {"name": "last", "function": function}}
        if "module" in changed:
            changed["module"] = "keras.src.layers.core.tf_op_layer"
        changed["inbound_nodes"] = [["first", 0, 0, arguments]]

    return change


def hostile_changes(marker):
    """Changes that would run `touch marker` or import any module, each by another way."""
    code = {"class_name": "__lambda__", "config": {"value": "4wEAAAA=", "defaults": None, "closure": None}}
    shell = {"setup": f"import os; os.system('touch {marker}')"}
    repeat = {"class_name": "function", "module": "timeit", "config": "repeat", "registered_name": "repeat"}
    deep = {"a": [{"b": {"c": popen(marker)}}]}
    return {
        "initializer of another module": in_setting("bias_initializer", popen(marker)),
        "nested arguments": in_setting("kernel_initializer", {"class_name": "Constant", "config": {"value": deep}}),
        "function as an activation": in_setting("activation", system()),
        "function inside Keras": in_setting("activation", system() | {"module": "keras.utils", "config": "get_file"}),
        "code as an activation": in_setting("activation", code),
        "class of another module": in_place_of_the_layer(**popen(marker)),
        "class of another module with a name of Keras": in_place_of_the_layer(module="subprocess", class_name="Dense"),
        "registered name of something else": in_place_of_the_layer(
            **popen(marker), registered_name="fedcompress_tests>Doubled"
        ),
        "builtin": in_place_of_the_layer(module="builtins", class_name="exec", config={"source": "1"}),
        "Lambda with code": as_lambda(["4wEAAAA=", None, None], function_type="lambda"),
        "Lambda with a function and arguments": as_lambda(repeat, arguments=shell),
        "TensorFlow function that writes": tensorflow_function(
            "io.write_file", filename=str(marker), contents="x", name=None
        ),
        "TensorFlow function by another name": tensorflow_function("raw_ops.WriteFile"),
        "layer of Keras that calls methods": in_place_of_the_layer(
            class_name="ClassMethod", config={"name": "last", "cls_symbol": "io.gfile.GFile", "method_name": "x"}
        ),
        "layer that reads a file": in_place_of_the_layer(
            class_name="StringLookup", config={"name": "last", "vocabulary": "/etc/hostname"}
        ),
        "type by name": in_setting(
            "dtype",
            {
                "class_name": "__typespec__",
                "spec_name": "Popen",
                "module": "subprocess",
                "registered_name": None,
                "config": [],
            },
        ),
    }


@pytest.mark.parametrize("way", hostile_changes("x"))
def test_files_that_would_run_code_are_refused(way, file, marker):
    rewritten(written(small(), file), hostile_changes(marker)[way])
    with pytest.raises(UnsafeModelError) as caught:
        load_model(file)
    assert str(caught.value).startswith(f"{file}: refused: ") and "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(file)) + 300


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.model"])
@pytest.mark.parametrize("saved_as", [".keras", ".h5"])
def test_lambda_layers_are_refused_whatever_the_name(name, saved_as, tmp_path, marker):
    place = str(marker)

    def touched(x):
        import pathlib

        pathlib.Path(place).touch()
        return x

    model = small(layers.Lambda(touched, name="code"))
    marker.unlink()  # building it has run it
    saved = written(model, tmp_path / f"saved{saved_as}")
    path = saved.rename(tmp_path / name)
    for load, error in ((load_model, UnsafeModelError), (load_keras_model, UnsafeModelError)):
        with pytest.raises(error, match=r"refused: it holds code \(layer code \(class Lambda\)\), which is not run"):
            load(path)
    with pytest.raises(ConfigError, match=r"^model\.name=.*refused: it holds code"):
        own_model(path, ExpectedData((4,), 2))


def test_a_nested_models_compilation_is_dropped(file, marker):
    nested = tf.keras.Sequential([tf.keras.Input((3,)), layers.Dense(3)], name="nested")
    nested.compile("adam", "mse")
    written(small(nested), file)

    def change(configuration):
        entry = layer_of(configuration, "nested")
        entry["compile_config"] = {"optimizer": popen(marker), "loss": popen(marker)}
        configuration["compile_config"] = entry["compile_config"]

    before = small(nested)
    before = load_model(file)
    model = load_model(rewritten(file, change))
    assert not getattr(model.get_layer("nested"), "_is_compiled", False)
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(model(x), before(x))


def test_weights_in_other_files_are_refused(tmp_path):
    path = written(small(), tmp_path / "m.h5")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones(3)
    with h5py.File(path, "r+") as file:
        del file["model_weights/first/first/bias:0"]
        file["model_weights/first/first/bias:0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
    with pytest.raises(ModelFileError, match="bias:0 points to another file"):
        load_model(path)


def test_calls_in_a_circle_end(file):
    def change(configuration):
        layer_of(configuration, "first")["inbound_nodes"] = [[["last", 0, 0, {}]]]

    rewritten(written(small(), file), change)
    with pytest.raises(ModelFileError, match="is called with the result of a call that is never made"):
        load_model(file)


def test_archives_that_expand_without_end_are_refused(tmp_path):
    path = written(small(), tmp_path / "m.keras")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more", bytes(100 * 2**20))
    with pytest.raises(ModelFileError, match="would expand to"):
        load_model(path)


def honest():
    """Models with every kind of object that a configuration may hold."""
    x = inputs = tf.keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation=tf.nn.relu, kernel_regularizer="l2", kernel_constraint="max_norm")(x)
    x = layers.BatchNormalization(gamma_initializer=tf.keras.initializers.Constant(2.0))(x)
    x = tf.nn.relu(x) + 1.0
    x = tf.reshape(tf.concat([x, tf.math.sqrt(x)], axis=-1), (-1, 36, 8))[:, 1:]
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True, dropout=0.1))(x)
    x = layers.TimeDistributed(layers.Dense(4, activation=tf.keras.activations.gelu))(x)
    x = layers.MultiHeadAttention(2, 3)(x, x) + x
    x = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)])(x)
    x = Doubled()(x)
    x = tf.keras.Sequential([layers.Dense(4, dtype=tf.keras.mixed_precision.Policy("float32"))])(x)
    return tf.keras.Model(inputs, x)


def test_honest_models_load(file):
    model = honest()
    written(model, file)
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(load_model(file)(x), model(x))


@pytest.mark.parametrize(
    "saved_as,name", [(".keras", "m.h5"), (".h5", "m.keras"), (".h5", "model"), (".keras", "model")]
)
def test_the_content_decides_and_not_the_name(saved_as, name, tmp_path):
    model = small()
    path = written(model, tmp_path / f"saved{saved_as}").rename(tmp_path / name)
    np.testing.assert_array_equal(load_model(path)(np.ones((1, 4))), model(np.ones((1, 4))))


def test_own_layers_load_once_they_are_known(file):
    model = small(Tripled(name="mine"))
    written(model, file)
    with pytest.raises(
        UnsafeModelError, match=r"layer mine \(class Tripled\) .*register_keras_serializable|outside of"
    ):
        load_model(file)
    found = load_model(file, custom_objects={"Tripled": Tripled})
    np.testing.assert_array_equal(found(np.ones((1, 4))), model(np.ones((1, 4))))


def cluster(model):
    start = tfmot.clustering.keras.CentroidInitialization.LINEAR
    return tfmot.clustering.keras.cluster_weights(model, number_of_clusters=4, cluster_centroids_init=start)


WRAPPED = {
    "clustered": cluster,
    "pruned": tfmot.sparsity.keras.prune_low_magnitude,
    "quantised": tfmot.quantization.keras.quantize_model,
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_tfmots_wrappers_load_from_hdf5(kind, tmp_path):
    model = WRAPPED[kind](copy.copy(small()))
    path = written(model, tmp_path / "m.h5")
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    loaded = load_model(path)
    assert tfmot_wrappers(loaded)
    np.testing.assert_allclose(loaded(x, training=False), model(x, training=False), atol=1e-6)
    if kind == "quantised":
        with pytest.raises(ModelFileError, match="wrapper for quantisation-aware training; export quantises by itself"):
            load_keras_model(path)
    else:
        exported = load_keras_model(path)
        assert not tfmot_wrappers(exported)
        np.testing.assert_allclose(exported(x, training=False), model(x, training=False), atol=1e-6)
    with pytest.raises(ConfigError, match=r"has one of tfmot's wrappers: save the model after stripping"):
        own_model(path, ExpectedData((4,), 2))
    with pytest.raises(ModelFileError, match="save it after tfmot"):
        load_model(written(model, tmp_path / "m.keras"))


@pytest.mark.parametrize(
    "content,message",
    [
        (b"", "neither an archive"),
        (b"hello", "neither an archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "damaged"),
        (b"PK\x05\x06" + bytes(18), "the archive has no config.json, model.weights.h5"),
    ],
)
def test_files_that_are_none_give_one_line(content, message, tmp_path):
    path = tmp_path / "m.keras"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=f"m.keras: not a Keras model that loads: .*{message}"):
        load_model(path)
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "none.keras")


def test_weights_only_say_so(tmp_path):
    small().save_weights(tmp_path / "m.h5")
    with pytest.raises(ModelFileError, match="has weights only and no model_config; save the whole model"):
        load_model(tmp_path / "m.h5")


def test_the_door_imports_without_tensorflow():
    code = "import sys, tfc.keras_files.loading; sys.exit(bool({'tensorflow', 'h5py', 'keras'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_nothing_else_loads_keras_files():
    """Every Keras load of both packages goes through the door."""
    import edge
    import tfc

    for package in (edge, tfc):
        root = package.__path__[0]
        found = subprocess.run(
            ["grep", "-rlE", r"models\.load_model|saving\.load_model|load_weights\(", root],
            capture_output=True,
            text=True,
        )
        assert all(line.endswith(("keras_files/loading.py", ".pyc")) for line in found.stdout.splitlines())

"""Files as Keras 3 writes them, written without it; test_keras3_system.py has real ones."""

import io
import json
import zipfile

import h5py

VERSION = "3.15.1"
POLICY = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}


def object_of(module, kind, **settings):
    return {"module": f"keras.{module}", "class_name": kind, "config": settings, "registered_name": None}


def input_layer(name, *shape):
    settings = {"batch_shape": [None, *shape], "dtype": "float32", "sparse": False, "ragged": False, "name": name}
    return {**object_of("layers", "InputLayer", **settings, optional=False), "name": name, "inbound_nodes": []}


def layer(kind, name, *calls, module="keras.layers", **settings):
    content = {"name": name, "trainable": True, "dtype": POLICY, **settings}
    found = {"module": module, "class_name": kind, "config": content, "registered_name": None, "name": name}
    return {**found, "build_config": {"input_shape": [None]}, "inbound_nodes": list(calls)}


def dense(name, units, *calls, activation="linear", **settings):
    initializer = object_of("initializers", "GlorotUniform", seed=None, input_axes=None, output_axes=None)
    zeros = object_of("initializers", "Zeros")
    regularizer = object_of("regularizers", "L2", l2=0.01)
    given = {"units": units, "activation": activation, "use_bias": True, "kernel_initializer": initializer}
    given |= {"bias_initializer": zeros, "kernel_regularizer": regularizer, "bias_regularizer": None}
    return layer("Dense", name, *calls, **given, quantization_config=None, **settings)


def tensor(name, *shape, call=0):
    history = {"shape": [None, *shape], "dtype": "float32", "keras_history": [name, call, 0]}
    return {"class_name": "__keras_tensor__", "config": history}


def call(*args, **kwargs):
    return {"args": list(args), "kwargs": kwargs}


def functional(name, layers, start, end):
    content = {"name": name, "trainable": True, "layers": layers}
    content |= {"input_layers": [start, 0, 0], "output_layers": [end, 0, 0]}
    optimizer = {"module": "os", "class_name": "system", "config": {}}  # compilation is never looked at
    return {
        **{"module": "keras.src.models.functional", "class_name": "Functional", "config": content},
        **{"registered_name": "Functional", "build_config": {"input_shape": None}, "compile_config": optimizer},
    }


def sequential(name, layers, shape, *calls):
    content = {"name": name, "trainable": True, "dtype": POLICY, "layers": layers, "build_input_shape": [None, *shape]}
    found = {"module": "keras", "class_name": "Sequential", "config": content, "registered_name": None}
    return {**found, "name": name, "inbound_nodes": list(calls)}


def save(path, configuration, weights, names=(), version=VERSION):
    """Writes a file; weights are by group, names of layers by group too."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_group("vars")
        for group, arrays in weights.items():
            held = file.create_group(f"{group}/vars")
            for number, array in enumerate(arrays):
                held[str(number)] = array
        for group, name in dict(names).items():
            file.require_group(f"{group}/vars").attrs["name"] = name
        file.create_group("optimizer/vars")["0"] = 3
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version, "date_saved": "2026-01-01@00:00:00"}))
        archive.writestr("config.json", json.dumps(configuration))
        archive.writestr("model.weights.h5", content.getvalue())

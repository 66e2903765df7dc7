"""The door: every Keras model file that either package opens is loaded here."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfc.base.errors import FedCompressError, ModelFileError, UnsafeModelError
from tfc.keras_files.content import WEIGHTS, ModelContent, read_content, refuse_links
from tfc.keras_files.graph_order import refuse_circles
from tfc.keras_files.keras3_graph import convert
from tfc.keras_files.keras3_weights import WeightStore, assign
from tfc.keras_files.screening import configured_objects, refuse_unsafe, without_compilation

if TYPE_CHECKING:
    import tensorflow as tf

_LONGEST = 300
"""Characters of another library's message that are shown: some hold the whole file."""

_WRAPPERS = ("ClusterWeights", "PruneLowMagnitude", "QuantizeLayer", "QuantizeWrapper", "QuantizeWrapperV2")
"""tfmot's layers around others, which it leaves in a model until they are stripped."""


def load_model(path: Path, *, custom_objects: Mapping[str, Any] | None = None) -> tf.keras.Model:
    """Loads a Keras model, without its compilation. No code in the file is run.

    Args:
        path: An archive (.keras) or HDF5 file (.h5), whatever its name, saved by Keras 2; an archive that Keras 3 saved
            is rebuilt from layers of Keras 2, with equal outputs.
        custom_objects: The user's own classes and functions by name, beside those registered with Keras.

    Raises:
        UnsafeModelError: If the file holds code, or names code that is not Keras' own or registered.
        ModelFileError: If it is missing or damaged, or has a layer that can't be built here.
    """
    content = read_content(path)
    try:
        refuse_links(content.hdf5)
        if _is_keras_3(content):
            return _from_keras_3(content)
        return _from_keras_2(content, custom_objects)
    except FedCompressError as error:
        known = isinstance(error, UnsafeModelError)
        raise type(error)(f"{path}: {'refused' if known else 'not a Keras model that loads'}: {error}") from error
    except Exception as error:  # Keras and h5py raise whatever the damaged part raises
        raise ModelFileError(f"{path}: not a Keras model that loads: {first_line(error)}") from error


def tfmot_wrappers(model: tf.keras.Model) -> list[str]:
    """Returns the names of a model's layers that are tfmot's wrappers, those of nested models included.

    Args:
        model: Any Keras model.
    """
    layers = model._flatten_layers(include_self=False)
    return [layer.name for layer in layers if type(layer).__name__ in _WRAPPERS]


def first_line(error: Exception) -> str:
    """Returns the first line of what an error says, or its class; without the file's content.

    Args:
        error: Any error.
    """
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    for opening in ("Full object config:", "config={", "config: {"):
        line = line.partition(opening)[0].strip() or type(error).__name__
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "..."


def _is_keras_3(content: ModelContent) -> bool:
    major = content.keras_version.partition(".")[0]
    return major.isdigit() and int(major) >= 3


def _from_keras_3(content: ModelContent) -> tf.keras.Model:
    version = f"saved by Keras {content.keras_version}"
    if not content.is_archive:
        raise ModelFileError(f"{version} as HDF5: save it there with model.save('NAME.keras')")
    import tensorflow as tf

    try:
        with WeightStore(content.hdf5) as store:
            configuration, placements = convert(content.configuration, store)
            refuse_circles(configuration)
            kind = tf.keras.Sequential if configuration["class_name"] == "Sequential" else tf.keras.Model
            model = kind.from_config(configuration["config"])
            assign(model, placements, store)
    except ModelFileError as error:
        raise ModelFileError(f"{version}: {error}") from error
    except Exception as error:  # Keras raises whatever the damaged part raises
        raise ModelFileError(f"{version}: {first_line(error)}") from error
    return model


def _from_keras_2(content: ModelContent, custom_objects: Mapping[str, Any] | None) -> tf.keras.Model:
    import tensorflow as tf

    configuration = without_compilation(content.configuration)
    wrappers = {found["class_name"] for found in configured_objects(configuration) if found["class_name"] in _WRAPPERS}
    with _wrapper_scopes(bool(wrappers)):
        refuse_unsafe(configuration, custom_objects)
        refuse_circles(configuration)
        # What has been judged is what is loaded: Keras reads a copy with this configuration and nothing else.
        if not content.is_archive:
            return _from_hdf5(content.hdf5, configuration, custom_objects)
        if wrappers:
            raise ModelFileError(
                "it has tfmot's wrappers for clustering, pruning or quantisation, which nothing can load from this "
                "format; save it after tfmot.clustering.keras.strip_clustering (or strip_pruning), or as .h5"
            )
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "model.keras"
            with zipfile.ZipFile(copy, "w") as archive:
                archive.writestr("metadata.json", json.dumps({"keras_version": content.keras_version}))
                archive.writestr("config.json", json.dumps(configuration))
                archive.writestr(WEIGHTS, content.hdf5)
            return tf.keras.models.load_model(copy, custom_objects=dict(custom_objects or {}), compile=False)


def _from_hdf5(hdf5: bytes, configuration: Any, custom_objects: Mapping[str, Any] | None) -> tf.keras.Model:
    import h5py
    import tensorflow as tf

    with h5py.File(io.BytesIO(hdf5), "r+") as file:
        file.attrs["model_config"] = json.dumps(configuration)
        return tf.keras.models.load_model(file, custom_objects=dict(custom_objects or {}), compile=False)


@contextlib.contextmanager
def _wrapper_scopes(needed: bool) -> Iterator[None]:
    """Makes tfmot's wrappers known to Keras, where a file has any: importing tfmot takes seconds."""
    if not needed:
        yield
        return
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot

    scopes = (
        tfmot.clustering.keras.cluster_scope,
        tfmot.sparsity.keras.prune_scope,
        tfmot.quantization.keras.quantize_scope,
    )
    schedules = {
        name: getattr(tfmot.sparsity.keras, name) for name in ("ConstantSparsity", "PolynomialDecay")
    }  # those that PruneLowMagnitude has as its setting
    with contextlib.ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(scope())
        stack.enter_context(tf.keras.utils.custom_object_scope(schedules))
        yield

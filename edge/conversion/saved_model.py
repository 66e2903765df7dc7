"""SavedModels: what other programs save for serving. Loading one runs its graph's own loading code."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from edge.conversion.converter import quiet_converter
from tfc.base.errors import ModelFileError
from tfc.keras_files.loading import first_line

_FILE = "saved_model.pb"
_SIGNATURE = "serving_default"


def is_saved_model(path: Path) -> bool:
    """Whether a path is a SavedModel's folder.

    Args:
        path: Any path.
    """
    return path.is_dir() and (path / _FILE).is_file()


def saved_model_to_tflite(path: Path, *, trust: bool) -> bytes:
    """Converts a SavedModel's serving signature for one example.

    Args:
        path: Its folder.
        trust: Whether it may be loaded: a SavedModel's graph can read and write files.

    Returns:
        Content of a float .tflite file.

    Raises:
        ModelFileError: If it is not trusted, or can't be converted.
    """
    if not trust:
        raise ModelFileError(
            f"{path}: a SavedModel, whose graph runs when it is loaded and may read and write files; --trust loads it"
        )
    try:
        with quiet_converter():
            loaded = tf.saved_model.load(str(path))
            signature = loaded.signatures.get(_SIGNATURE)
            if signature is None:
                names = ", ".join(loaded.signatures) or "none"
                raise ModelFileError(f"{path}: has no signature {_SIGNATURE}; it has {names}")
            specs = _of_one_example(path, signature.structured_input_signature[1])
            function = tf.function(lambda **inputs: signature(**inputs)).get_concrete_function(**specs)
            return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], loaded).convert())
    except ModelFileError:
        raise
    except Exception as error:  # the loader's and the converter's own errors have no common base
        raise ModelFileError(f"{path}: cannot be converted: {first_line(error)}") from error


def _of_one_example(path: Path, inputs: dict[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    specs = {}
    for name, spec in inputs.items():
        shape = spec.shape.as_list() if spec.shape.rank else None
        if not shape or any(size is None for size in shape[1:]):
            raise ModelFileError(f"{path}: its input {name} of shape {spec.shape} is not fixed")
        specs[name] = tf.TensorSpec((1, *shape[1:]), spec.dtype, name=name)
    return specs

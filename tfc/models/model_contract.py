"""What a model has to be so that it can be trained here: one judge, by values, for every way that a model comes in.

All defects of a model are reported at once, each with what to do about it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfc.base.errors import ConfigError
from tfc.keras_files.nested_layers import nested_layers
from tfc.models.moving_weights import probe_inputs

_TRIALS = 4
"""Random settings of the weights under which outputs are looked at."""

_FLAT = 0.02
"""Standard deviation below which inputs are next to constant to the first layer that learns."""


@dataclass(frozen=True)
class ExpectedData:
    """What a model has to fit.

    Attributes:
        input_shape: Shape of one input; None where it is not known.
        num_classes: Number of classes; 0 where it is not known.
        pixels: uint8 inputs, shape (examples, *input_shape), which are divided by 255 before the model sees them; None
            for float32 inputs.
    """

    input_shape: tuple[int, ...] | None = None
    num_classes: int = 0
    pixels: np.ndarray | None = None


def check_model(model: tf.keras.Model, expected: ExpectedData, source: str) -> None:
    """Refuses a model that can't be trained here, with all its defects in one message.

    Args:
        model: The model, built.
        expected: The data that it is for.
        source: What to call it in the message.

    Raises:
        ConfigError: If it has any defect; lists them all.
    """
    defects = list(_defects(model, expected))
    if defects:
        more = "".join(f"; {text}" for text in defects[1:])
        raise ConfigError(f"{source}: {defects[0]}{more}")


def _defects(model: tf.keras.Model, expected: ExpectedData) -> Iterator[str]:
    if not getattr(model, "_is_graph_network", False):
        if isinstance(model, tf.keras.Sequential):
            yield "does not know its inputs: let it start with tf.keras.Input(shape)"
        else:
            yield (
                "is neither functional nor sequential, so its layers can't be built anew in TFF's graphs: write it "
                "with tf.keras.Model(inputs, outputs)"
            )
        return
    if len(model.inputs) != 1:
        yield f"has {len(model.inputs)} inputs: only models with one are supported"
    if len(model.outputs) != 1:
        yield f"has {len(model.outputs)} outputs: leave only the one with the classes' logits"
    yield from _wrong_types(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return
    if expected.pixels is not None and not model.inputs[0].dtype.is_floating:
        yield (
            f"takes {model.inputs[0].dtype.name} inputs, and uint8 data are divided by 255 before the model sees them: "
            "give it float32 inputs"
        )
    shape = tuple(model.inputs[0].shape[1:])
    fits = expected.input_shape is None or _takes(shape, expected.input_shape)
    if not fits:
        yield f"takes inputs of shape {shape}, the data have {expected.input_shape}"
    outputs = tuple(model.outputs[0].shape[1:])
    if outputs == (1,):
        yield (
            "has one output: heads of one logit and regression are not supported; for two classes give it two logits, "
            "Dense(2)"
        )
    elif len(outputs) != 1:
        yield f"has outputs of shape {outputs}: one vector of logits per example is supported, shape (classes,)"
    elif expected.num_classes and outputs != (expected.num_classes,):
        yield f"has outputs of shape {outputs}, the data have {expected.num_classes} classes"
    if not model.trainable_variables:
        yield "has no weights that training moves: set trainable = True for the layers that clients shall train"
    if fits and len(outputs) == 1 and outputs != (1,):
        yield from _no_logits(model)
        yield from _scaled_twice(model, expected)


def _takes(model_shape: tuple[int | None, ...], data_shape: tuple[int, ...]) -> bool:
    """Whether a model's input fits the data; its axes may be of any length."""
    return len(model_shape) == len(data_shape) and all(
        mine in (None, other) for mine, other in zip(model_shape, data_shape, strict=True)
    )


def _wrong_types(model: tf.keras.Model) -> Iterator[str]:
    """float32 throughout; integers only where training moves nothing."""
    wrong = {
        variable.name: variable.dtype.name for variable in model.trainable_variables if variable.dtype != tf.float32
    }
    if wrong:
        name, dtype = next(iter(wrong.items()))
        yield f"has {len(wrong)} weights that are not float32, such as {name} ({dtype}): build it with dtype float32"
    computed = {
        layer.name: layer.compute_dtype
        for layer in nested_layers(model)
        if layer.weights and layer.compute_dtype not in ("float32", None)
    }
    if computed and not wrong:
        name, dtype = next(iter(computed.items()))
        yield (
            f"computes in {dtype} (layer {name}): mixed precision is not supported; build it with "
            "tf.keras.mixed_precision.set_global_policy('float32')"
        )


def _outputs_of_trials(model: tf.keras.Model) -> np.ndarray:
    """Outputs for random inputs under several random settings of the trainable weights; those stay as they are."""
    variables = model.trainable_variables
    before = [variable.numpy() for variable in variables]
    found = []
    random = np.random.default_rng(0)
    try:
        for trial in range(_TRIALS):
            for variable, old in zip(variables, before, strict=True):
                scale = max(float(np.std(old)), 0.05)
                variable.assign((random.normal(size=old.shape) * 3 * scale).astype(old.dtype))
            found.append(np.asarray(model(probe_inputs(model, 16, trial), training=False), np.float64))
    finally:
        for variable, old in zip(variables, before, strict=True):
            variable.assign(old)
    return np.concatenate(found)


def _no_logits(model: tf.keras.Model) -> Iterator[str]:
    """Logits take any sign, whatever the weights are; probabilities and rectified values don't."""
    outputs = _outputs_of_trials(model)
    if not np.isfinite(outputs).all():
        outputs = np.nan_to_num(outputs, nan=0.0)
    low, high, sums = outputs.min(), outputs.max(), outputs.sum(axis=1)
    if low < 0:
        return
    if high <= 1 and np.allclose(sums, 1, atol=1e-3):
        yield "ends with a softmax: the last layer must give logits (remove the softmax, or set activation=None)"
    elif high <= 1:
        yield "has outputs between 0 and 1, as a sigmoid's: the last layer must give logits (activation=None)"
    else:
        yield "has outputs that are never negative, as a ReLU's: the last layer must give logits (activation=None)"


def _scaled_twice(model: tf.keras.Model, expected: ExpectedData) -> Iterator[str]:
    """Pixels are divided by 255 here: a first layer that expects 0 to 255 would see next to constant inputs."""
    if expected.pixels is None:
        return
    first = next((layer for layer in model.layers if not isinstance(layer, tf.keras.layers.InputLayer)), None)
    if first is None or first.trainable_weights or len(first.inbound_nodes) != 1:
        return
    raw = tf.cast(expected.pixels, tf.float32)
    scaled, direct = (float(np.std(np.asarray(first(x, training=False)))) for x in (raw / 255.0, raw))
    if scaled < _FLAT <= direct:
        yield (
            f"scales pixels in its layer {first.name}, and uint8 data are divided by 255 before the model sees them: "
            "remove that layer, or store the data as float32"
        )


def rebuilder(model: tf.keras.Model) -> Callable[[], tf.keras.Model]:
    """Returns a function that builds a model anew, in whatever graph it is called.

    Outside of graphs the copy has the model's weights; inside, where all variables are assigned anyway, fresh ones.

    Args:
        model: Functional or sequential, built.
    """
    kind, content, weights = type(model), model.get_config(), model.get_weights()

    def build() -> tf.keras.Model:
        # Some layers' from_config consumes the dictionary that it is given.
        copied: Any = kind.from_config(copy.deepcopy(content))
        if not copied.built or not copied.inputs:
            copied.build(model.input_shape)
        if tf.executing_eagerly():
            copied.set_weights(weights)
        return copied

    return build


def built(model: tf.keras.Model, input_shape: tuple[int, ...]) -> tf.keras.Model:
    """Returns a model that knows its inputs: a sequential one without is built for the data's shape.

    Args:
        model: Any Keras model.
        input_shape: Shape of one input of the data.
    """
    if input_shape and isinstance(model, tf.keras.Sequential) and not getattr(model, "_is_graph_network", False):
        weights = model.get_weights() if model.built else None
        layers = [type(layer).from_config(copy.deepcopy(layer.get_config())) for layer in model.layers]
        model = tf.keras.Sequential([tf.keras.Input(input_shape), *layers], name=model.name)
        if weights is not None:
            model.set_weights(weights)
    return model


def buildable(
    model_fn: Callable[[], tf.keras.Model], input_shape: tuple[int, ...] = ()
) -> Callable[[], tf.keras.Model]:
    """Returns a function that builds a user's model anew each time, in whatever graph it is called.

    Args:
        model_fn: The user's; it may return the same model each time, one that does not know its inputs, or one that
            can be built outside of graphs alone.
        input_shape: Shape of one input of the data; empty where it is not known.
    """
    first, second = built(model_fn(), input_shape), model_fn()
    if second is first or not _builds_in_graphs(model_fn):
        return rebuilder(first)
    if getattr(second, "_is_graph_network", False):
        return model_fn
    return lambda: built(model_fn(), input_shape)


def _builds_in_graphs(model_fn: Callable[[], tf.keras.Model]) -> bool:
    try:
        with tf.Graph().as_default():
            model_fn()
    except Exception:  # whatever the user's code does there
        return False
    finally:
        model_fn()  # Keras rewires its classes in a bare graph; building outside wires them back
    return True

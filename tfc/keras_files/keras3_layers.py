"""The layers that Keras 3 files may have, and how each is configured in Keras 2: one table.

Sources: the layers' arguments in Keras 3.15 and in Keras 2.14. Both store kernels in the same layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfc.keras_files.keras3_objects import UnknownHereError, activation_of, dtype_of, object_of

Settings = dict[str, Any]

ANY = object()


@dataclass(frozen=True)
class LayerRule:
    """How a layer of Keras 3 is written for Keras 2.

    Attributes:
        keeps: Settings with the same name and meaning in both.
        renamed: Name in Keras 2 by name in Keras 3.
        without: Settings that Keras 2 lacks, with the value under which the layer computes what Keras 2's does; `ANY`
            where it always does.
        inputs: Names of the tensors that it is called with; more than one only where it takes them as arguments.
        merges: Whether it is called with one list of tensors.
        state: Where its weights are in its group of the file, in the order of Keras 2; nothing for a layer without.
        finish: Changes the written settings last; is given them and Keras 3's.
    """

    keeps: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    without: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("inputs",)
    merges: bool = False
    state: tuple[str, ...] = ("vars",)
    finish: Callable[[Settings, Settings], Settings] = lambda written, _: written


def layer_settings(rule: LayerRule, given: Mapping[str, Any]) -> Settings:
    """Returns a layer's settings for Keras 2.

    Args:
        rule: The layer's row of the table.
        given: Its settings in the Keras 3 file.

    Raises:
        UnknownHereError: If it has a setting that would change what it computes and is not in the table.
    """
    written: Settings = {}
    if dtype_of(given.get("dtype")) != "float32":
        raise UnknownHereError(f"computes in {dtype_of(given.get('dtype'))}: save the model with dtype float32")
    for key, value in given.items():
        kind = key.rpartition("_")[2]
        if key in ("name", "trainable"):
            written[key] = value
        elif key in ("dtype", "seed"):  # a seed is a number, or a generator's state that Keras 2 lacks
            if key == "seed" and key in rule.keeps and isinstance(value, int):
                written[key] = value
        elif key in rule.without:
            if rule.without[key] is not ANY and value != rule.without[key]:
                raise UnknownHereError(f"has {key}={str(value)[:60]}, which is not known here")
        elif key in rule.renamed or key in rule.keeps:
            written[rule.renamed.get(key, key)] = _value(kind, value)
        # Later versions add settings; one that is off changes nothing.
        elif value is not None and value is not False and value != {}:
            raise UnknownHereError(f"has the setting {key[:60]}, which is not known here")
    return rule.finish(written, dict(given))


def _value(kind: str, value: Any) -> Any:
    if kind == "activation":
        return activation_of(value)
    if kind in ("initializer", "regularizer", "constraint"):
        return object_of(kind, value)
    return value


def _objects(*names: str) -> tuple[str, ...]:
    """Names of a weight's settings: its initializer, regularizer and constraint."""
    return tuple(f"{name}_{kind}" for name in names for kind in ("initializer", "regularizer", "constraint"))


def _fixed_axis(written: Settings, given: Settings) -> Settings:
    # Keras 2 takes the axes of a Softmax as a number or a list, of a normalisation as a list.
    axis = written.get("axis")
    return {**written, "axis": axis[0]} if isinstance(axis, list) and len(axis) == 1 else written


def _mask_output(written: Settings, given: Settings) -> Settings:
    return {key: value for key, value in written.items() if key != "zero_output_for_mask" or value}


_BIAS = ("activation", "use_bias", "activity_regularizer", *_objects("bias"))
_WINDOW = ("kernel_size", "strides", "padding", "data_format", "dilation_rate")
_CONVOLUTION = LayerRule(("filters", *_WINDOW, "groups", *_BIAS, *_objects("kernel")))
_DEPTHWISE = LayerRule(("depth_multiplier", *_WINDOW, *_BIAS, *_objects("depthwise")))
_SEPARABLE = LayerRule(("filters", "depth_multiplier", *_WINDOW, *_BIAS, *_objects("depthwise", "pointwise")))
_TRANSPOSED = LayerRule(("filters", *_WINDOW, "output_padding", *_BIAS, *_objects("kernel")))
_POOLING = LayerRule(("pool_size", "strides", "padding", "data_format"), state=())
_GLOBAL_POOLING = LayerRule(("data_format", "keepdims"), state=())
_MERGE = LayerRule(merges=True, state=())
_PADDING_1D = {"data_format": "channels_last"}
_AFFINE = ("center", "scale", *_objects("beta", "gamma"))
_RECURRENT = LayerRule(
    (
        *("units", "activation", "use_bias", "dropout", "recurrent_dropout", "activity_regularizer", "go_backwards"),
        *("return_sequences", "return_state", "stateful", "unroll", "zero_output_for_mask"),
        *_objects("kernel", "recurrent", "bias"),
    ),
    state=("cell/vars",),
)
_GATED = (*_RECURRENT.keeps, "recurrent_activation")


LAYERS: dict[str, LayerRule] = {
    "Activation": LayerRule(("activation",), state=()),
    "Add": _MERGE,
    "AlphaDropout": LayerRule(("rate", "noise_shape", "seed"), state=()),
    "Average": _MERGE,
    "AveragePooling1D": _POOLING,
    "AveragePooling2D": _POOLING,
    "BatchNormalization": LayerRule(
        ("axis", "momentum", "epsilon", *_AFFINE, "moving_mean_initializer", "moving_variance_initializer"),
        without={"synchronized": ANY, "renorm": False, "renorm_clipping": None, "renorm_momentum": ANY},
    ),
    "Concatenate": LayerRule(("axis",), merges=True, state=()),
    "Conv1D": _CONVOLUTION,
    "Conv1DTranspose": _TRANSPOSED,
    "Conv2D": _CONVOLUTION,
    "Conv2DTranspose": _TRANSPOSED,
    "Cropping1D": LayerRule(("cropping",), without=_PADDING_1D, state=()),
    "Cropping2D": LayerRule(("cropping", "data_format"), state=()),
    "Dense": LayerRule(("units", *_BIAS, *_objects("kernel"))),
    "DepthwiseConv1D": _DEPTHWISE,
    "DepthwiseConv2D": _DEPTHWISE,
    "Dot": LayerRule(("axes", "normalize"), merges=True, state=()),
    "Dropout": LayerRule(("rate", "noise_shape", "seed"), state=()),
    "ELU": LayerRule(("alpha",), state=()),
    "Embedding": LayerRule(("input_dim", "output_dim", "mask_zero", "activity_regularizer", *_objects("embeddings"))),
    "Flatten": LayerRule(("data_format",), state=()),
    "GRU": LayerRule((*_GATED, "reset_after"), inputs=("sequence",), state=_RECURRENT.state, finish=_mask_output),
    "GaussianDropout": LayerRule(("rate", "seed"), state=()),
    "GaussianNoise": LayerRule(("stddev", "seed"), state=()),
    "GlobalAveragePooling1D": _GLOBAL_POOLING,
    "GlobalAveragePooling2D": _GLOBAL_POOLING,
    "GlobalMaxPooling1D": _GLOBAL_POOLING,
    "GlobalMaxPooling2D": _GLOBAL_POOLING,
    "GroupNormalization": LayerRule(("groups", "axis", "epsilon", *_AFFINE)),
    "Identity": LayerRule(state=()),
    "LSTM": LayerRule((*_GATED, "unit_forget_bias"), inputs=("sequence",), state=_RECURRENT.state, finish=_mask_output),
    "LayerNormalization": LayerRule(("axis", "epsilon", *_AFFINE), without={"rms_scaling": False}),
    "LeakyReLU": LayerRule(renamed={"negative_slope": "alpha"}, state=()),
    "Masking": LayerRule(("mask_value",), state=()),
    "MaxPooling1D": _POOLING,
    "MaxPooling2D": _POOLING,
    "Maximum": _MERGE,
    "Minimum": _MERGE,
    "MultiHeadAttention": LayerRule(
        (
            *("num_heads", "key_dim", "value_dim", "dropout", "use_bias", "output_shape", "attention_axes"),
            *("activity_regularizer", *_objects("kernel", "bias")),
        ),
        inputs=("query", "value", "key"),
        state=("query_dense/vars", "key_dense/vars", "value_dense/vars", "output_dense/vars"),
    ),
    "Multiply": _MERGE,
    "Normalization": LayerRule(("axis", "mean", "variance", "invert")),
    "PReLU": LayerRule((*_objects("alpha"), "shared_axes")),
    "Permute": LayerRule(("dims",), state=()),
    "ReLU": LayerRule(("max_value", "negative_slope", "threshold"), state=()),
    "RepeatVector": LayerRule(("n",), state=()),
    "Rescaling": LayerRule(("scale", "offset"), state=()),
    "Reshape": LayerRule(("target_shape",), state=()),
    "SeparableConv1D": _SEPARABLE,
    "SeparableConv2D": _SEPARABLE,
    "SimpleRNN": LayerRule(_RECURRENT.keeps, inputs=("sequence",), state=_RECURRENT.state, finish=_mask_output),
    "Softmax": LayerRule(("axis",), state=(), finish=_fixed_axis),
    "SpatialDropout1D": LayerRule(("rate",), without=_PADDING_1D, state=()),
    "SpatialDropout2D": LayerRule(("rate", "data_format"), state=()),
    "Subtract": _MERGE,
    "UnitNormalization": LayerRule(("axis",), state=()),
    "UpSampling1D": LayerRule(("size",), state=()),
    "UpSampling2D": LayerRule(("size", "data_format", "interpolation"), state=()),
    "ZeroPadding1D": LayerRule(("padding",), without=_PADDING_1D, state=()),
    "ZeroPadding2D": LayerRule(("padding", "data_format"), state=()),
}
"""By Keras 3's class. Wrappers and nested models are written by `keras3_graph`."""

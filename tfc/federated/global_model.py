"""The type that flows through a learning process: the model that the server holds and broadcasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc.clustering.layout import WeightLayout, layout_of
from tfc.codec import graph
from tfc.codec.message import Message, MessageSpec
from tfc.codec.palette import Palette

ModelFn = Callable[[], tf.keras.Model]
"""Builds the Keras model anew at each call (TFF traces it into several graphs)."""

CLIENT_SCALARS = 4
"""float32 values beside each client's model: examples, validation examples, correct share of them, quality score."""


class GlobalModel(NamedTuple):
    """The server's model as the clients see it: what the payload of a broadcast says.

    Attributes:
        num_clusters: int32 scalar; 0 where no kernel is clustered.
        palettes: One `Palette` per clustered kernel.
        others: float32 tensors, all other weights.
    """

    num_clusters: Any
    palettes: tuple[Palette, ...]
    others: tuple[Any, ...]


class Broadcast(NamedTuple):
    """What flows through a learning process in the place of model weights.

    Attributes:
        payload: uint8 (bytes,), what is sent.
        base: Palettes of the broadcast before, which the clients hold; a key frame does not need them.
        model: What the payload says, given the base.
    """

    payload: Any
    base: tuple[Palette, ...]
    model: GlobalModel


@dataclass(frozen=True)
class ModelSpec:
    """What a learning process knows of the model before it runs.

    Attributes:
        model_fn: Builds the Keras model.
        layout: Which weights are clustered kernels.
        max_clusters: Slots per codebook.
    """

    model_fn: ModelFn
    layout: WeightLayout
    max_clusters: int

    @classmethod
    def of(cls, model_fn: ModelFn, layers: str, max_clusters: int) -> ModelSpec:
        """Examines the model that `model_fn` builds.

        Args:
            model_fn: Builds the Keras model.
            layers: A key of `LAYER_CHOICES`, or `none`.
            max_clusters: Slots per codebook.
        """
        return cls(model_fn, layout_of(model_fn(), layers, max_clusters), max_clusters)

    def message_spec(self, num_scalars: int) -> MessageSpec:
        """Returns the specification of a message that holds the model.

        Args:
            num_scalars: float32 values beside the model.
        """
        return MessageSpec(self.layout.kernel_shapes, self.layout.other_shapes, self.max_clusters, num_scalars)

    @property
    def downlink(self) -> MessageSpec:
        """A broadcast."""
        return self.message_spec(0)

    @property
    def uplink(self) -> MessageSpec:
        """A client's answer."""
        return self.message_spec(CLIENT_SCALARS)

    @property
    def base_type(self) -> tff.Type:
        """The TFF type of the palettes that a client holds."""
        return tff.to_type(
            tuple(
                Palette(tff.TensorType(np.float32, (self.max_clusters,)), tff.TensorType(np.uint8, shape))
                for shape in self.layout.kernel_shapes
            )
        )

    @property
    def broadcast_type(self) -> tff.Type:
        """The TFF type of `Broadcast` for this model."""
        others = tuple(tff.TensorType(np.float32, shape) for shape in self.layout.other_shapes)
        model = GlobalModel(tff.TensorType(np.int32), self.base_type, others)
        return tff.to_type(Broadcast(PAYLOAD_TYPE, self.base_type, model))

    def broadcast(self, model: GlobalModel, base: tuple[Palette, ...] | None) -> Broadcast:
        """Encodes a model for the clients; what they will decode is the server's model from then on.

        Args:
            model: Tensors.
            base: Palettes that the clients hold; None for a key frame.
        """
        message = Message(model.num_clusters, model.palettes, model.others, tf.zeros([0]))
        payload = graph.encode(message, self.downlink, base)
        decoded, _ = graph.decode(payload, self.downlink, base)
        held = model.palettes if base is None else base
        return Broadcast(payload, held, GlobalModel(decoded.num_clusters, decoded.palettes, decoded.others))


PAYLOAD_TYPE = tff.TensorType(np.uint8, (None,))
"""Bytes of a message."""


def assign(model: tf.keras.Model, layout: WeightLayout, kernels: Sequence[Any], others: Sequence[Any]) -> None:
    """Sets a Keras model's variables.

    Args:
        model: A model of the layout's architecture.
        layout: Which weights are clustered kernels.
        kernels: One float32 tensor per clustered kernel.
        others: One float32 tensor per other weight.
    """
    trainable, non_trainable = layout.join(kernels, others)
    for variable, value in zip(model.trainable_variables, trainable, strict=True):
        variable.assign(value)
    for variable, value in zip(model.non_trainable_variables, non_trainable, strict=True):
        variable.assign(value)


def read_weights(model: tf.keras.Model, layout: WeightLayout) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Returns a Keras model's present weights as (clustered kernels, others), float32 tensors.

    Args:
        model: A model of the layout's architecture.
        layout: Which weights are clustered kernels.
    """
    return layout.split(
        [variable.read_value() for variable in model.trainable_variables],
        [variable.read_value() for variable in model.non_trainable_variables],
    )


def dequantized_kernels(palettes: Sequence[Palette]) -> tuple[tf.Tensor, ...]:
    """Returns the kernels that palettes stand for, float32 tensors.

    Args:
        palettes: One per clustered kernel.
    """
    return tuple(graph.dequantize(palette) for palette in palettes)


def to_model_weights(layout: WeightLayout, global_model: GlobalModel) -> tff.learning.models.ModelWeights:
    """Returns the plain weights of a global model, TFF's usual structure.

    Args:
        layout: Which weights are clustered kernels.
        global_model: Tensors.
    """
    trainable, non_trainable = layout.join(dequantized_kernels(global_model.palettes), global_model.others)
    return tff.learning.models.ModelWeights(trainable, non_trainable)

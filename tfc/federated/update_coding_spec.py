"""The specification of update coding: a model, and the messages in which its changes travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc.codec.message_spec import ReferenceModel
from tfc.federated.model_spec import Broadcast, ModelSpec
from tfc.update_codecs.message import UpdateMessage


@dataclass(frozen=True)
class UpdateCodingSpec:
    """A model and the forms of its messages.

    Attributes:
        model: The model, without clustered kernels.
        downlink: Broadcasts.
        uplink: Clients' answers.
        num_clients: Number of clients in all, where each of them remembers what its codec lost; else 0.
    """

    model: ModelSpec
    downlink: UpdateMessage
    uplink: UpdateMessage
    num_clients: int = 0

    @property
    def memory_shape(self) -> tuple[int, int]:
        """Shape of what clients remember: one row each; empty where they don't."""
        size = self.uplink.codec.size if self.uplink.codec is not None else 0
        return (self.num_clients, size) if self.num_clients else (0, 0)

    @property
    def memory_type(self) -> tff.TensorType:
        """The TFF type of what all clients remember."""
        return tff.TensorType(np.float32, self.memory_shape)

    @property
    def master_size(self) -> int:
        """Length of the float weights that stay at the server; 0 where broadcasts lose nothing."""
        return self.downlink.codec.size if self.downlink.codec is not None else 0

    def holding(self, values: tuple[Any, ...]) -> ReferenceModel:
        """Returns the model that an end holds.

        Args:
            values: One float32 tensor per weight.
        """
        return ReferenceModel(tf.constant(0), (), (), values)

    def _sent(self, payload: tf.Tensor, base: ReferenceModel | None) -> Broadcast:
        zeros = self.holding(tuple(tf.zeros(shape) for shape in self.model.layout.other_shapes))
        values, _, _ = self.downlink.decode(payload, base or zeros)
        key_frame = tf.zeros([0], tf.uint8)
        if not self.model.full_participation:
            # A broadcast of float32 weights stands alone.
            alone = self.downlink.codec is None
            key_frame = payload if alone else self.downlink.encode_weights(values, tf.zeros([0]))
        held = self.holding(values)
        return Broadcast(payload, key_frame, base or held, held, tf.zeros([0]))

    def first(self, seed: int) -> Broadcast:
        """Returns the broadcast of the initial model that a seed stands for.

        Args:
            seed: Below 2^32.
        """
        return self._sent(_any_length(self.downlink.encode_seed(seed, tf.zeros([0]))), None)

    def whole(self, values: tuple[Any, ...]) -> Broadcast:
        """Returns the broadcast of a model as float32.

        Args:
            values: One float32 tensor per weight.
        """
        return self._sent(_any_length(self.downlink.encode_weights(values, tf.zeros([0]))), None)

    def change(self, changes: tf.Tensor, rest: tf.Tensor, base: ReferenceModel, seed: tf.Tensor) -> Broadcast:
        """Returns the broadcast of a coded change.

        Args:
            changes: float32 vector, of what the codec takes.
            rest: float32 vector, the small values.
            base: What the clients hold.
            seed: int64 scalar below 2^32.
        """
        return self._sent(_any_length(self.downlink.encode_update(changes, rest, tf.zeros([0]), base, seed)), base)


def _any_length(payload: tf.Tensor) -> tf.Tensor:
    """Hides a length that is known when tracing: TFF's types of all broadcasts have to be one."""
    return tf.boolean_mask(payload, tf.ones_like(payload, tf.bool))

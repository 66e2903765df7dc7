"""The type that flows through a learning process: the model that the server holds and broadcasts, as its bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc import graph_codec
from tfc.clustering.initial import initial_kernels, initial_others, relative_others, unseedable
from tfc.clustering.layout import WeightLayout, layout_of
from tfc.codec.message_spec import CLIENT_SCALARS as CLIENT_SCALARS
from tfc.codec.message_spec import InitialValue, Kind, Message, MessageSpec, ReferenceModel
from tfc.codec.palette import Palette
from tfc.config import ExperimentConfig
from tfc.federated.model_weights import dequantized_kernels, frozen_variables
from tfc.graph_codec import seed_model
from tfc.models.embedding import EmbeddingPlace, find_embedding
from tfc.models.model_contract import ExpectedData, buildable, check_model
from tfc.registries import UPLINK_MODES

ModelFn = Callable[[], tf.keras.Model]
"""Builds the Keras model anew at each call (TFF traces it into several graphs)."""

SERVER_SCALARS = 1
"""float32 values beside each broadcast: the rate weight of the clients' updates, in mean squares of the update."""

DOWNLINK_OTHER_BITS, UPLINK_OTHER_BITS = 4, 3
"""Precision of changes of BatchNorm and biases; clients' roundings differ and partly average out."""


class Broadcast(NamedTuple):
    """What flows through a learning process in the place of model weights.

    Attributes:
        payload: uint8 (bytes,), what is sent to clients that hold the broadcast before.
        key_frame: uint8 (bytes,), what may be sent to others instead; empty where all clients take part in every round.
        base: The broadcast before, which the clients hold; a seed or a key frame does not need it.
        model: What payload and key frame say.
        control: What the server tells the clients beside the model; it is in the payload.
    """

    payload: Any
    key_frame: Any
    base: ReferenceModel
    model: ReferenceModel
    control: Any


@dataclass(frozen=True)
class ModelSpec:
    """Static description of the model.

    Attributes:
        model_fn: Builds the Keras model.
        layout: Which weights are clustered kernels.
        max_clusters: Slots per codebook.
        uplink_mode: `weights` or `update`: what clients palettize.
        update_levels: Slots of an update's codebook.
        full_participation: Whether all clients take part in every round, so that each holds the broadcast before.
        initial_others: Start of each other weight; empty where a seed does not stand for the first model.
        relative_others: Which other weights are variances.
        palettized_broadcast: Whether broadcasts are palettized; else they are float32, whatever clients send.
        embedding: Where the embedding is taken from, of which the quality score is computed.
        frozen: Values of the weights that training does not move; no message tells them.
        unseedable: Names of weights for which no seed can stand; with any, the model starts at its own weights.
    """

    model_fn: ModelFn
    layout: WeightLayout
    max_clusters: int
    uplink_mode: str = "weights"
    update_levels: int = 9
    full_participation: bool = True
    initial_others: tuple[InitialValue, ...] = ()
    relative_others: tuple[bool, ...] = ()
    palettized_broadcast: bool = True
    embedding: EmbeddingPlace | None = None
    frozen: tuple[Any, ...] = ()
    unseedable: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        model_fn: ModelFn,
        layers: str,
        max_clusters: int,
        *,
        uplink_mode: str = "weights",
        update_levels: int = 9,
        full_participation: bool = True,
        from_seed: bool = True,
        palettized_broadcast: bool = True,
        embedding: str = "",
    ) -> ModelSpec:
        """Examines the model that `model_fn` builds.

        Args:
            model_fn: Builds the Keras model.
            layers: A key of `LAYER_CHOICES`, or `none`.
            max_clusters: Slots per codebook.
            uplink_mode: `weights` or `update`.
            update_levels: Slots of an update's codebook.
            full_participation: Whether all clients take part in every round.
            from_seed: Whether the first model is expanded from a seed, where its first weights are such a draw.
            palettized_broadcast: Whether broadcasts are palettized.
            embedding: Name of the layer whose output is the embedding; empty for `find_embedding`'s choice.

        Raises:
            ConfigError: If there is no such layer, or the model can't be trained here; lists all that is wrong with it.
        """
        model_fn = buildable(model_fn)
        model = model_fn()
        check_model(model, ExpectedData(), "model_fn")
        layout = layout_of(model, layers, max_clusters)
        own = unseedable(model, layout) if from_seed else ()
        starts = initial_others(model, layout) if from_seed and not own else ()
        relative = relative_others(model, layout)
        return cls(
            model_fn,
            layout,
            max_clusters,
            uplink_mode,
            update_levels,
            full_participation,
            starts,
            relative,
            palettized_broadcast or not layout.kernels,
            find_embedding(model, embedding),
            tuple(variable.numpy() for variable in frozen_variables(model, layout)),
            own,
        )

    @property
    def trained_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the trained weights: clustered kernels, then those of the other weights that are trained."""
        layout = self.layout
        return (*layout.kernel_shapes, *layout.split(layout.trainable_shapes, ())[1])

    @property
    def palettizes_update(self) -> bool:
        """Whether clients palettize their update; else their weights."""
        return bool(self.layout.kernels) and bool(UPLINK_MODES[self.uplink_mode].codes_update)

    @property
    def control_size(self) -> int:
        """Number of float32 values beside a broadcast."""
        return SERVER_SCALARS if self.layout.kernels else 0

    @property
    def downlink(self) -> MessageSpec:
        """A broadcast."""
        if not self.palettized_broadcast:
            shapes = (*self.layout.trainable_shapes, *self.layout.non_trainable_shapes)
            return MessageSpec((), shapes, 1, self.control_size, (Kind.KEY_FRAME,))
        kinds = [Kind.KEY_FRAME, Kind.DELTA]
        if self.initial_others:
            kinds.append(Kind.SEED)
        if self.layout.kernels and not self.full_participation:
            kinds.append(Kind.CATCH_UP)
        return MessageSpec(
            self.layout.kernel_shapes,
            self.layout.other_shapes,
            self.max_clusters,
            self.control_size,
            tuple(kinds),
            initial_kernels=initial_kernels(self.layout),
            initial_others=self.initial_others,
            relative_others=self.relative_others,
            other_bits=DOWNLINK_OTHER_BITS,
            remembers_moves=self.full_participation,
        )

    @property
    def uplink(self) -> MessageSpec:
        """A client's answer."""
        mode = UPLINK_MODES[self.uplink_mode]
        return MessageSpec(
            self.layout.kernel_shapes,
            self.layout.other_shapes,
            self.update_levels if mode.codes_update else self.max_clusters,
            CLIENT_SCALARS,
            (mode.message_kind if self.palettized_broadcast else Kind.KEY_FRAME,),
            reference_clusters=self.max_clusters if self.palettized_broadcast else 0,
            relative_others=self.relative_others,
            other_bits=UPLINK_OTHER_BITS,
        )

    @property
    def reference_type(self) -> tff.Type:
        """The TFF type of the model that a client holds."""
        broadcast = self.downlink
        palettes = tuple(
            Palette(tff.TensorType(np.float32, (self.max_clusters,)), tff.TensorType(np.uint8, shape))
            for shape in broadcast.kernel_shapes
        )
        moves = tuple(tff.TensorType(np.uint8, shape) for shape in broadcast.kernel_shapes)
        others = tuple(tff.TensorType(np.float32, shape) for shape in broadcast.other_shapes)
        return tff.to_type(ReferenceModel(tff.TensorType(np.int32), palettes, moves, others))

    @property
    def broadcast_type(self) -> tff.Type:
        """The TFF type of `Broadcast` for this model."""
        control = tff.TensorType(np.float32, (self.control_size,))
        return tff.to_type(Broadcast(PAYLOAD_TYPE, PAYLOAD_TYPE, self.reference_type, self.reference_type, control))

    @tf.autograph.experimental.do_not_convert
    def broadcast(
        self,
        num_clusters: Any,
        palettes: tuple[Palette, ...],
        others: tuple[Any, ...],
        control: Any,
        base: ReferenceModel | None,
    ) -> Broadcast:
        """Encodes a model for the clients; what they will decode is the server's model from then on.

        Args:
            num_clusters: int32 scalar.
            palettes: One per clustered kernel.
            others: float32 tensors, all other weights.
            control: float32 (control_size,).
            base: What the clients hold; None where they hold nothing.
        """
        message = Message(num_clusters, palettes, others, control)
        payload = graph_codec.encode(message, self.downlink, base)
        decoded, _ = graph_codec.decode(payload, self.downlink, base)
        key_frame = tf.zeros([0], tf.uint8)
        if not self.full_participation:
            # Without clustered kernels every payload stands alone.
            key_frame = graph_codec.encode(decoded.message, self.downlink) if self.downlink.kernel_shapes else payload
        held = decoded.held if base is None else base
        return Broadcast(_of_any_length(payload), _of_any_length(key_frame), held, decoded.held, control)

    def weights_of(self, held: ReferenceModel) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Returns a broadcast model's float32 weights as (clustered kernels, others).

        Args:
            held: What an end holds.
        """
        if self.palettized_broadcast:
            return dequantized_kernels(held.palettes), held.others
        count = len(self.layout.trainable_shapes)
        return self.layout.split(held.others[:count], held.others[count:])

    @tf.autograph.experimental.do_not_convert
    def float_broadcast(self, kernels: Sequence[Any], others: Sequence[Any], num_clusters: Any) -> Broadcast:
        """Encodes a model as float32 for clients that palettize what they send.

        Args:
            kernels: float32 tensors, one per clustered kernel.
            others: float32 tensors, all other weights.
            num_clusters: int32 scalar, how many clusters the clients shall use; it travels as the one scalar.
        """
        trainable, non_trainable = self.layout.join(kernels, others)
        control = tf.cast(num_clusters, tf.float32)[None]
        return self.broadcast(tf.constant(0), (), (*trainable, *non_trainable), control, None)

    def first_broadcast(self, seed: int, num_clusters: Any, control: Any) -> Broadcast:
        """Returns the broadcast of an initial model that both ends expand from a seed.

        Args:
            seed: Below 2^32.
            num_clusters: int32 scalar.
            control: float32 (control_size,).
        """
        payload = graph_codec.encode_seed(seed, num_clusters, control, self.downlink)
        start = seed_model.expand(tf.constant(seed, tf.int64), num_clusters, self.downlink)
        message = Message(start.num_clusters, start.palettes, start.others, control)
        key_frame = tf.zeros([0], tf.uint8) if self.full_participation else graph_codec.encode(message, self.downlink)
        return Broadcast(_of_any_length(payload), _of_any_length(key_frame), start, start, control)


def _of_any_length(payload: tf.Tensor) -> tf.Tensor:
    """Hides a length that is known when tracing: TFF's types of all broadcasts have to be one."""
    return tf.boolean_mask(payload, tf.ones_like(payload, tf.bool))


PAYLOAD_TYPE = tff.TensorType(np.uint8, (None,))
"""Bytes of a message."""


def full_participation(config: ExperimentConfig) -> bool:
    """Returns whether all clients take part in every round.

    Args:
        config: Number of clients, in all and per round.
    """
    return config.clients_per_round in (0, config.data.num_clients)


def plain_spec(model_fn: ModelFn, config: ExperimentConfig, *, from_seed: bool = False) -> ModelSpec:
    """Returns the specification of a model none of whose kernels is clustered.

    Args:
        model_fn: Builds the Keras model.
        config: Participation.
        from_seed: Whether the first broadcast may be a seed.
    """
    return ModelSpec.of(
        model_fn,
        "none",
        1,
        full_participation=full_participation(config),
        from_seed=from_seed,
        embedding=config.model.embedding,
    )


def clustered_spec(model_fn: ModelFn, config: ExperimentConfig) -> ModelSpec:
    """Returns the specification of a model whose kernels are clustered as configured.

    Args:
        model_fn: Builds the Keras model.
        config: Settings of clustering and communication.
    """
    return ModelSpec.of(
        model_fn,
        config.clustering.layers,
        config.clustering.max_clusters,
        uplink_mode=config.communication.uplink,
        update_levels=config.communication.levels,
        full_participation=full_participation(config),
        from_seed=config.model.initial == "seed",
        palettized_broadcast=config.server.compression,
        embedding=config.model.embedding,
    )


def reference_model(structure: Any) -> ReferenceModel:
    """Gives a held model its Python types back; TFF hands structures on without them.

    Args:
        structure: Of `ModelSpec.reference_type`.
    """
    palettes = tuple(Palette(*palette) for palette in structure[1])
    return ReferenceModel(structure[0], palettes, tuple(structure[2]), tuple(structure[3]))


def to_model_weights(spec: ModelSpec, global_model: ReferenceModel) -> tff.learning.models.ModelWeights:
    """Returns the plain weights of a global model, TFF's usual structure; frozen ones are among the non-trainable.

    Args:
        spec: The model.
        global_model: Tensors.
    """
    trainable, moving = spec.layout.join(*spec.weights_of(global_model))
    frozen = iter(spec.frozen)
    by_position = dict(zip(spec.layout.moving, moving, strict=True))
    non_trainable = tuple(
        by_position[position] if position in by_position else tf.constant(next(frozen))
        for position in range(len(spec.frozen) + len(moving))
    )
    return tff.learning.models.ModelWeights(trainable, non_trainable)

"""Key frames: broadcasts that stand alone, for clients that hold no reference model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfc.clustering.centroids import kmeans_plus_plus, lloyd, nearest_centroid
from tfc.codec.palette import Palette
from tfc.federated.learning_process import Restart
from tfc.federated.model_spec import Broadcast, ModelSpec
from tfc.seeds import Purpose, stateless

LLOYD_STEPS = 10


def initial_palettes(kernels: tuple[Any, ...], spec: ModelSpec, num_clusters: Any, seed: int) -> tuple[Palette, ...]:
    """Clusters kernels that have no codebook yet: k-means++, then Lloyd's iterations.

    Args:
        kernels: float32 tensors, one per clustered kernel.
        spec: The model.
        num_clusters: int32 scalar.
        seed: Seed of the run.
    """

    @tf.function  # turns the loops into loops of the graph; TFF's bare graphs don't
    def cluster() -> tuple[Palette, ...]:
        palettes = []
        for number, weights in enumerate(kernels):
            fold = stateless(seed, Purpose.CENTROIDS, 0, number)
            start = kmeans_plus_plus(weights, tf.convert_to_tensor(num_clusters), spec.max_clusters, fold)
            codebook = lloyd(weights, start, LLOYD_STEPS)
            palettes.append(Palette(codebook, tf.cast(nearest_centroid(weights, codebook), tf.uint8)))
        return tuple(palettes)

    palettes: tuple[Palette, ...] = cluster()
    return palettes


def key_frame(
    spec: ModelSpec,
    kernels: tuple[tf.Tensor, ...],
    others: tuple[tf.Tensor, ...],
    num_clusters: Any,
    control: Any,
    seed: int,
) -> Broadcast:
    """Returns the broadcast of a model to clients that hold no reference model.

    Args:
        spec: The model.
        kernels: float32 tensors, one per clustered kernel.
        others: float32 tensors, its side parameters.
        num_clusters: int32 scalar.
        control: float32 (control_size,).
        seed: Seed of the run.
    """

    @tf.function
    def encode() -> Broadcast:
        palettes = initial_palettes(kernels, spec, num_clusters, seed) if kernels else ()
        return spec.broadcast(tf.convert_to_tensor(num_clusters), palettes, others, control, None)

    return encode()


def restart_with_key_frame(spec: ModelSpec, seed: int, forget: Callable[[Any], Any]) -> Restart:
    """Returns what makes the broadcast of weights that are set from outside.

    Args:
        spec: The model.
        seed: Seed of the run.
        forget: State of the finalizer -> the same without what its optimiser remembers of other weights.
    """

    def restart(state: Any, trainable: tuple[tf.Tensor, ...], non_trainable: tuple[tf.Tensor, ...]) -> Any:
        old = state.global_model_weights.model
        kernels, others = spec.layout.split(trainable, non_trainable)
        if not spec.palettized_broadcast:
            clusters = tf.cast(state.global_model_weights.control[0], tf.int32)
            return spec.float_broadcast(kernels, others, clusters), forget(state.finalizer)
        new = key_frame(spec, kernels, others, old.num_clusters, state.global_model_weights.control, seed)
        master = getattr(state.finalizer, "master", ())
        finalizer = forget(state.finalizer)
        return new, finalizer._replace(master=kernels) if master else finalizer

    return restart

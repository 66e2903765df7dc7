"""What the finalizers of all methods share: which rounds count, and what is measured of them."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfc.federated.running_mean import Aggregate


@tf.autograph.experimental.do_not_convert
def measurements_of(
    aggregate: Aggregate, num_clusters: tf.Tensor, distillation_loss: tf.Tensor, rate_weight: tf.Tensor
) -> collections.OrderedDict[str, Any]:
    """Returns what every method's finalizer measures.

    Args:
        aggregate: What the clients said.
        num_clusters: int32 scalar, clusters of the next broadcast; 0 without any.
        distillation_loss: float32 scalar.
        rate_weight: float32 scalar, rate weight in the next broadcast.
    """
    return collections.OrderedDict(
        num_clusters=num_clusters,
        clients_ok=aggregate.clients,
        validation_accuracy=aggregate.accuracy,
        quality_score=aggregate.score,
        distillation_loss=distillation_loss,
        rate_weight=rate_weight,
    )


@tf.autograph.experimental.do_not_convert
def all_finite(tensors: Any) -> tf.Tensor:
    """Whether every number of a structure of float tensors is finite."""
    parts = [tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tf.nest.flatten(tensors)]
    return tf.reduce_all(tf.stack(parts))


@tf.autograph.experimental.do_not_convert
def usable(aggregate: Aggregate) -> tf.Tensor:
    """Whether a round changes the model: some client counts, and every number of the mean is finite; bool scalar.

    Args:
        aggregate: What the clients said.
    """
    return (aggregate.weight > 0) & all_finite((aggregate.kernels, aggregate.others))


@tf.autograph.experimental.do_not_convert
def chosen(condition: tf.Tensor, new: Sequence[tf.Tensor], old: Sequence[tf.Tensor]) -> tuple[tf.Tensor, ...]:
    """Returns the new tensors where the condition holds, else the old ones.

    Args:
        condition: bool scalar.
        new: Tensors.
        old: As many, of the same shapes.
    """
    return tuple(tf.where(condition, after, before) for after, before in zip(new, old, strict=True))

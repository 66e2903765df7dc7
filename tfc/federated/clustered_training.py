"""Clustered training at a client: it palettizes its weights (the paper), or its update."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import ClassVar, Protocol

import tensorflow as tf

from tfc.clustering.centroids import kmeans_plus_plus
from tfc.clustering.updates import ClusteredUpdates
from tfc.clustering.weights import ClusteredKernels
from tfc.codec.message_spec import Kind, Message
from tfc.codec.palette import Palette
from tfc.federated.client_data import ClientContext
from tfc.federated.model_spec import ModelSpec
from tfc.federated.model_weights import dequantized_kernels
from tfc.registries import CENTROID_STARTS
from tfc.seeds import Purpose, stateless


def drawn_codebooks(
    model: tf.keras.Model, spec: ModelSpec, broadcast: Message, context: ClientContext, seed: int
) -> list[tf.Tensor]:
    """Returns the centroids of k-means++ on the client's own weights: the paper's start, in every round anew."""
    return [
        kmeans_plus_plus(
            model.trainable_variables[kernel.position],
            broadcast.num_clusters,
            spec.max_clusters,
            stateless(seed, Purpose.CENTROIDS, context.round, context.client, number),
        )
        for number, kernel in enumerate(spec.layout.kernels)
    ]


def broadcast_codebooks(
    model: tf.keras.Model, spec: ModelSpec, broadcast: Message, context: ClientContext, seed: int
) -> list[tf.Tensor]:
    """Returns the broadcast's codebooks: a warm start, so that an index keeps its meaning from round to round."""
    return [palette.codebook for palette in broadcast.palettes]


class ClusteredTraining(Protocol):
    """A client's last epochs, in which its model computes through palettes.

    Attributes:
        codes_update: Whether palettes stand for updates; else for weights.
        message_kind: Kind of the client's answers.
        centroids: Variables of the codebooks.
    """

    codes_update: ClassVar[bool]
    message_kind: ClassVar[Kind]
    centroids: list[tf.Variable]

    def start(self, broadcast: Message, context: ClientContext) -> None:
        """Fits the palettes to the model as it is."""

    @property
    def variables(self) -> list[tf.Variable]:
        """What training moves."""

    def applied(self) -> contextlib.AbstractContextManager[None]:
        """Lets the model compute through the palettes."""

    def gradients_of(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Turns the gradients of `variables` into those that are applied."""

    def snap(self) -> tuple[tuple[Palette, ...], tuple[tf.Tensor, ...]]:
        """Returns palettes and, of updates, bands' scales to send; sets the model's kernels to what they stand for."""


class WeightClustering:
    """Clusters the weights (the paper)."""

    codes_update: ClassVar[bool] = False
    message_kind: ClassVar[Kind] = Kind.DELTA

    def __init__(self, model: tf.keras.Model, spec: ModelSpec, centroid_start: str, seed: int) -> None:
        self._model, self._spec, self._seed = model, spec, seed
        self._codebooks = CENTROID_STARTS[centroid_start]
        self._kernels = ClusteredKernels(model, spec.layout, spec.max_clusters)
        self.centroids = self._kernels.centroids
        self.applied = self._kernels.applied

    def snap(self) -> tuple[tuple[Palette, ...], tuple[tf.Tensor, ...]]:
        """Returns the palettes; weights have no bands."""
        return self._kernels.snap(), ()

    def start(self, broadcast: Message, context: ClientContext) -> None:
        """Sets the centroids."""
        self._kernels.start(self._codebooks(self._model, self._spec, broadcast, context, self._seed))

    @property
    def variables(self) -> list[tf.Variable]:
        """All weights and the centroids."""
        return [*self._model.trainable_variables, *self.centroids]

    def gradients_of(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns them as they are."""
        return list(gradients)


class UpdateClustering:
    """Clusters the update: the change since the broadcast."""

    codes_update: ClassVar[bool] = True
    message_kind: ClassVar[Kind] = Kind.UPDATE

    def __init__(self, model: tf.keras.Model, spec: ModelSpec, centroid_start: str, seed: int) -> None:
        self._updates = ClusteredUpdates(model, spec.layout, spec.update_levels)
        self.centroids = self._updates.centroids
        self.applied = self._updates.applied
        self.gradients_of = self._updates.gradients_of
        self.snap = self._updates.snap

    def start(self, broadcast: Message, context: ClientContext) -> None:
        """Fits palettes to the change so far, at the rate weight that the broadcast names."""
        self._updates.start(dequantized_kernels(broadcast.palettes), broadcast.scalars[0])

    @property
    def variables(self) -> list[tf.Variable]:
        """All weights but the kernels, their changes, and the centroids."""
        return self._updates.variables

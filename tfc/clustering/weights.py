"""Training through clustered kernels: tfmot's `ClusteringAlgorithm` on a model's kernels, inside any graph.

`tfmot.clustering.keras.cluster_weights` can't be built inside a TFF computation (it branches in Python on tensors), so
its algorithm is attached to the layers here. Forward pass: every kernel is replaced by the centroids of its weights.
Backward pass: the straight-through estimator hands the gradient to the latent weights, and each centroid gets the sum
of its weights' gradients.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot

from tfc.clustering.centroids import nearest_centroid
from tfc.clustering.layout import WeightLayout
from tfc.clustering.priced_assignment import priced_assignment
from tfc.codec.palette import Palette
from tfc.keras_files.nested_layers import nested_layers


@contextlib.contextmanager
def substituted_kernels(model: tf.keras.Model, layout: WeightLayout, kernels: Sequence[tf.Tensor]) -> Iterator[None]:
    """Lets the model compute with other kernels while the context lasts; its variables stay as they are.

    Args:
        model: The model that `layout` describes.
        layout: Which kernels.
        kernels: One tensor per clustered kernel, of its shape.
    """
    variables = [model.trainable_variables[kernel.position] for kernel in layout.kernels]
    # Found by the variable itself: automatic layer names differ each time a model is built.
    places = [
        next(
            (layer, kernel.attribute)
            for layer in nested_layers(model)
            if getattr(layer, kernel.attribute, None) is variable
        )
        for kernel, variable in zip(layout.kernels, variables, strict=True)
    ]
    # Keras' own __setattr__ would drop the variable from the layer's list of weights.
    for (layer, attribute), kernel in zip(places, kernels, strict=True):
        object.__setattr__(layer, attribute, kernel)
    try:
        yield
    finally:
        for (layer, attribute), variable in zip(places, variables, strict=True):
            object.__setattr__(layer, attribute, variable)


class ClusteredKernels:
    """The centroids of a model's clustered kernels, as variables that training moves.

    Create it where variables may be created (outside of a traced function), use it within.

    Attributes:
        centroids: One float32 variable (max_clusters,) per clustered kernel.
    """

    def __init__(self, model: tf.keras.Model, layout: WeightLayout, max_clusters: int) -> None:
        """Creates the variables; `start` gives them their values.

        Args:
            model: The model that `layout` describes; its kernel variables hold the latent weights.
            layout: Which kernels.
            max_clusters: Slots per codebook.
        """
        self._model = model
        self._layout = layout
        self._latent = [model.trainable_variables[kernel.position] for kernel in layout.kernels]
        self.centroids = [tf.Variable(tf.zeros([max_clusters]), name=f"centroids_{k.layer}") for k in layout.kernels]
        # The default aggregation of a centroid's gradients is their sum.
        self._algorithms = [tfmot.clustering.keras.ClusteringAlgorithm(centroids) for centroids in self.centroids]

    @tf.autograph.experimental.do_not_convert
    def start(self, codebooks: Sequence[tf.Tensor]) -> None:
        """Sets the centroids.

        Args:
            codebooks: One float32 tensor (max_clusters,) per clustered kernel.
        """
        for variable, codebook in zip(self.centroids, codebooks, strict=True):
            variable.assign(codebook)

    @tf.autograph.experimental.do_not_convert
    def kernels(self) -> list[tf.Tensor]:
        """Returns the clustered kernels for the present latent weights, with tfmot's gradients."""
        return [
            algorithm.get_clustered_weight(nearest_centroid(latent, centroids), latent)
            for algorithm, latent, centroids in zip(self._algorithms, self._latent, self.centroids, strict=True)
        ]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Lets the model compute with its clustered kernels while the context lasts."""
        with substituted_kernels(self._model, self._layout, self.kernels()):
            yield

    @tf.autograph.experimental.do_not_convert
    def snap(
        self, held: Sequence[Palette] = (), num_clusters: Any = None, rate_weight: float = 0.0
    ) -> tuple[Palette, ...]:
        """Returns each kernel's palette and sets the latent weights to their centroids.

        Args:
            held: Palettes that receivers hold, for a price on indices that change; without a price none.
            num_clusters: int32 scalar, slots in use; with a price.
            rate_weight: Price of a bit, see `priced_assignment`; 0 for the nearest centroids.
        """
        palettes = []
        for number, (latent, centroids) in enumerate(zip(self._latent, self.centroids, strict=True)):
            codebook = tf.identity(centroids)
            if rate_weight:
                slots = priced_assignment(latent, codebook, held[number].indices, num_clusters, rate_weight)
            else:
                slots = nearest_centroid(latent, codebook)
            latent.assign(tf.gather(codebook, slots))
            palettes.append(Palette(codebook, tf.cast(slots, tf.uint8)))
        return tuple(palettes)

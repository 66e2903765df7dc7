"""Clustering of a client's update: tfmot's `ClusteringAlgorithm` on the coefficients of kernel minus broadcast.

While it is applied, a kernel is what was broadcast plus the clustered update: the client trains through its quantiser.
Gradients are tfmot's: straight through to the latent update, summed for each centroid; zero stays zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf
import tensorflow_model_optimization as tfmot

from tfc.clustering.layout import WeightLayout
from tfc.clustering.rate_distortion import PricedCentroids, cheapest_centroid, fit, is_not_zero, unbiased_scales
from tfc.clustering.weights import substituted_kernels
from tfc.codec.frequency_bands import num_bands
from tfc.codec.palette import Palette
from tfc.graph_codec.frequency_bands import change_of, coefficients, factors_of


class ClusteredUpdates:
    """The palettes of a model's update, as variables that training moves.

    Create it where variables may be created (outside of a traced function), use it within.

    Attributes:
        centroids: One float32 variable (levels,) per clustered kernel; the middle one stays zero.
        prices: One float32 variable (bands, levels) per clustered kernel: what a coefficient at each centroid costs.
    """

    def __init__(self, model: tf.keras.Model, layout: WeightLayout, levels: int) -> None:
        """Creates the variables; `start` gives them their values.

        Args:
            model: The model that `layout` describes.
            layout: Which kernels.
            levels: Slots of a codebook, odd.
        """
        self._model, self._layout, self._levels = model, layout, levels
        self._kernels = [model.trainable_variables[kernel.position] for kernel in layout.kernels]
        self._sent = [tf.Variable(tf.zeros(kernel.shape), trainable=False) for kernel in layout.kernels]
        self.prices = [
            tf.Variable(tf.zeros([num_bands(kernel.shape), levels]), trainable=False) for kernel in layout.kernels
        ]
        self.centroids = [tf.Variable(tf.zeros([levels]), name=f"levels_{kernel.layer}") for kernel in layout.kernels]
        self._algorithms = [tfmot.clustering.keras.ClusteringAlgorithm(centroids) for centroids in self.centroids]

    @property
    def variables(self) -> list[tf.Variable]:
        """What training moves: all weights (a kernel holds broadcast plus latent update) and the centroids."""
        return [*self._model.trainable_variables, *self.centroids]

    @property
    def latent(self) -> list[tf.Tensor]:
        """The coefficients of each kernel's change since the broadcast, float32."""
        return [coefficients(kernel - sent) for kernel, sent in zip(self._kernels, self._sent, strict=True)]

    @tf.autograph.experimental.do_not_convert
    def start(self, sent: Sequence[tf.Tensor], rate_weight: tf.Tensor) -> None:
        """Takes the model's present change as the latent update and fits palettes to it.

        Args:
            sent: The kernels that were broadcast.
            rate_weight: float32 scalar, rate weight of a bit in mean squares of the update.
        """
        for variable, value in zip(self._sent, sent, strict=True):
            variable.assign(value)
        for latent, centroids, prices in zip(self.latent, self.centroids, self.prices, strict=True):
            priced = fit(latent, self._levels, rate_weight)
            centroids.assign(priced.centroids)
            prices.assign(priced.prices)

    @tf.autograph.experimental.do_not_convert
    def _slots(self) -> list[tf.Tensor]:
        return [
            cheapest_centroid(latent, PricedCentroids(centroids.read_value(), prices.read_value()))
            for latent, centroids, prices in zip(self.latent, self.centroids, self.prices, strict=True)
        ]

    @tf.autograph.experimental.do_not_convert
    def _clustered(self, slots: list[tf.Tensor]) -> list[tf.Tensor]:
        parts = zip(self._algorithms, slots, self.latent, strict=True)
        return [algorithm.get_clustered_weight(slot, latent) for algorithm, slot, latent in parts]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Lets the model compute with broadcast plus clustered update while the context lasts."""
        updates = self._clustered(self._slots())
        kernels = [sent + change_of(update) for sent, update in zip(self._sent, updates, strict=True)]
        with substituted_kernels(self._model, self._layout, kernels):
            yield

    def gradients_of(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the gradients of `variables` with those of the exact zeros taken out.

        Args:
            gradients: One per variable of `variables`.
        """
        count = len(self.centroids)
        keep = is_not_zero(self._levels)
        return [*gradients[:-count], *(gradient * keep for gradient in gradients[-count:])]

    @tf.autograph.experimental.do_not_convert
    def snap(self) -> tuple[tuple[Palette, ...], tuple[tf.Tensor, ...]]:
        """Returns each update's palette and its bands' scales; sets the kernels to broadcast plus palettized update."""
        palettes, scales = [], []
        parts = zip(self._kernels, self._sent, self.centroids, self.latent, self._slots(), strict=True)
        for kernel, sent, centroids, latent, slots in parts:
            codebook = centroids.read_value()
            quantized = tf.gather(codebook, slots)
            scale = unbiased_scales(latent, quantized)
            kernel.assign(sent + change_of(quantized * factors_of(scale, kernel.shape)))
            palettes.append(Palette(codebook, tf.cast(slots, tf.uint8)))
            scales.append(scale)
        return tuple(palettes), tuple(scales)

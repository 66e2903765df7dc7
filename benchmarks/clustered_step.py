"""Time of a clustered training step against a plain one, and against tfmot's own wrapper.

    python benchmarks/clustered_step.py [--model resnet20] [--batch 64] [--repeats 30]

Each step is one call of a traced function: forward, backward, Adam. Times are taken in turn within one process; the
figure that counts is the median of the ratios within a turn.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
from record import interleaved_ms, paired_ratio, save

from tfc.clustering.centroids import kmeans_plus_plus
from tfc.clustering.layout import layout_of
from tfc.clustering.weights import ClusteredKernels
from tfc.federated.training_loop import classification_gradients, run_steps
from tfc.registries import LAYER_CHOICES, MODELS


def _step(variables: list[tf.Variable], gradients: Any, x: tf.Tensor, y: tf.Tensor) -> Callable[[], Any]:
    @tf.function
    def step() -> tf.Tensor:
        run_steps(tf.range(tf.shape(y)[0])[None], x, y, variables, gradients, 1e-3)
        return tf.reduce_sum(variables[0])

    return lambda: step().numpy()


def plain_step(build: Callable[[], tf.keras.Model], x: tf.Tensor, y: tf.Tensor) -> Callable[[], Any]:
    """One step on free weights."""
    model = build()
    variables = model.trainable_variables
    return _step(variables, classification_gradients(model, variables, contextlib.nullcontext), x, y)


def clustered_step(
    build: Callable[[], tf.keras.Model], clusters: int, max_clusters: int, x: tf.Tensor, y: tf.Tensor
) -> Callable[[], Any]:
    """One step through `tfc.clustering.weights.ClusteredKernels`."""
    model = build()
    layout = layout_of(model, "all", max_clusters)
    kernels = ClusteredKernels(model, layout, max_clusters)
    weights = [model.trainable_variables[kernel.position] for kernel in layout.kernels]
    kernels.start([kmeans_plus_plus(w, tf.constant(clusters), max_clusters, tf.constant([0, 1])) for w in weights])
    variables = [*model.trainable_variables, *kernels.centroids]
    return _step(variables, classification_gradients(model, variables, kernels.applied), x, y)


def tfmot_step(build: Callable[[], tf.keras.Model], clusters: int, x: tf.Tensor, y: tf.Tensor) -> Callable[[], Any]:
    """One step through `tfmot.clustering.keras.cluster_weights` around the same layers."""
    keras = tfmot.clustering.keras
    # Embedded in the wrapper's class: Conv and Dense layers, as in LAYER_CHOICES["all"].
    assert LAYER_CHOICES["all"] == {"conv", "dense"}
    settings = {
        "number_of_clusters": clusters,
        "cluster_centroids_init": keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    }

    def wrap(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        kinds = (tf.keras.layers.Conv2D, tf.keras.layers.Dense)
        return keras.cluster_weights(layer, **settings) if isinstance(layer, kinds) else layer

    model = tf.keras.models.clone_model(build(), clone_function=wrap)
    variables = model.trainable_variables
    return _step(variables, classification_gradients(model, variables, contextlib.nullcontext), x, y)


def main() -> None:
    """Measures and writes `results/clustered_step-MODEL.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20", choices=sorted(MODELS))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()

    tf.keras.utils.set_random_seed(0)
    x = tf.random.uniform([options.batch, 32, 32, 3])
    y = tf.random.uniform([options.batch], 0, 10, tf.int32)

    def build() -> tf.keras.Model:
        return MODELS[options.model]((32, 32, 3), 10)

    rows = {}
    for clusters in (16, 32):
        samples = interleaved_ms(
            {
                "plain": plain_step(build, x, y),
                "clustered": clustered_step(build, clusters, 32, x, y),
                "tfmot": tfmot_step(build, clusters, x, y),
            },
            options.repeats,
        )
        rows[f"clusters_{clusters}"] = {
            **{f"{name}_ms": round(statistics.median(times), 2) for name, times in samples.items()},
            "clustered_to_plain": round(paired_ratio(samples, "clustered", "plain"), 4),
            "tfmot_to_plain": round(paired_ratio(samples, "tfmot", "plain"), 4),
        }
        print(f"{options.model}, batch {options.batch}, C = {clusters}:", rows[f"clusters_{clusters}"], flush=True)
    settings = f"--model {options.model} --batch {options.batch} --repeats {options.repeats}"
    command = f"python benchmarks/clustered_step.py {settings}"
    print(save(f"clustered_step-{options.model}", command, {"repeats": options.repeats, **rows}))


if __name__ == "__main__":
    main()

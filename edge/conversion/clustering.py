"""Clusters Keras models with tfmot, and trains them with their palettes kept; both on a copy."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
from tqdm import tqdm

from edge.conversion.calibration import Inputs
from edge.conversion.keras_kernels import MAX_PALETTE
from edge.conversion.objective import Objective, objective
from tfc.base.errors import EdgeError

CLUSTERED_LAYERS = (tf.keras.layers.Conv2D, tf.keras.layers.Conv1D, tf.keras.layers.Dense)
"""Layers whose kernels are clustered; depthwise kernels are left out: they are small and lose most accuracy."""

_MERGING_STEPS = 3


@dataclass(frozen=True)
class ClusterSettings:
    """Preparation of a model before its export.

    Attributes:
        clusters: Clusters per kernel; 0 leaves the palettes as they are.
        cqat: Whether to train on with cluster-preserving quantisation-aware training.
        epochs: Epochs of fine-tuning, where there is data.
        learning_rate: Adam's.
        batch_size: Examples per step.

    Examples:
        >>> import edge
        >>> settings = edge.ClusterSettings(clusters=16, epochs=2)
    """

    clusters: int = 0
    cqat: bool = False
    epochs: int = 1
    learning_rate: float = 1e-4
    batch_size: int = 64


class Training(NamedTuple):
    """Examples to train on, and what is trained.

    Attributes:
        inputs: Per input of the model (examples, ...).
        objective: Loss and targets.
    """

    inputs: Inputs
    objective: Objective


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses warnings about missing gradients of kernels that tfmot has replaced by centroids."""
    loggers = (tf.get_logger(), logging.getLogger())
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _copy(model: tf.keras.Model) -> tf.keras.Model:
    copied = tf.keras.models.clone_model(model)
    copied.set_weights(model.get_weights())
    return copied


def _fit(
    model: tf.keras.Model,
    training: Training,
    settings: ClusterSettings,
    seed: int,
    *,
    progress: bool,
) -> None:
    tf.keras.utils.set_random_seed(seed)
    goal = training.objective
    trained = goal.trained(model)
    trained.compile(tf.keras.optimizers.Adam(settings.learning_rate), goal.loss)
    inputs = list(training.inputs) if len(training.inputs) > 1 else training.inputs[0]
    with tqdm(total=settings.epochs, desc="fine-tuning", unit="epoch", disable=not progress) as bar:
        trained.fit(
            inputs,
            goal.targets,
            sample_weight=goal.weights,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            verbose=0,
            callbacks=[tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: bar.update())],
        )


def cluster(
    model: tf.keras.Model,
    settings: ClusterSettings,
    training: Training | None,
    seed: int,
    *,
    progress: bool = False,
) -> tf.keras.Model:
    """Palettizes the kernels of convolutions and dense layers with tfmot's `cluster_weights`.

    Args:
        model: A functional Keras model; it stays as it is.
        settings: Number of clusters, fine-tuning.
        training: Examples to fine-tune on; None for none.
        seed: Of the shuffling.
        progress: Whether a bar is shown on standard error.

    Returns:
        A plain model of the same architecture.
    """
    wrap = tfmot.clustering.keras.cluster_weights
    start = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS

    frozen: list[tf.keras.layers.Layer] = []

    def clustered(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        if isinstance(layer, tf.keras.Model):
            return tf.keras.models.clone_model(layer, clone_function=clustered)
        if isinstance(layer, CLUSTERED_LAYERS) and layer.kernel.shape.num_elements() >= 2 * settings.clusters:
            was_trainable, layer.trainable = layer.trainable, True  # tfmot clusters what can be trained
            made = wrap(layer, number_of_clusters=settings.clusters, cluster_centroids_init=start)
            if not was_trainable:
                frozen.append(made)
            return made
        return layer

    with _quiet():
        wrapped = tf.keras.models.clone_model(_copy(model), clone_function=clustered)
        for layer in frozen:  # tfmot's wrapper would train the centroids of a frozen layer
            layer.trainable = False
            layer._non_trainable_weights += layer._trainable_weights
            layer._trainable_weights = []
        if training is not None and settings.epochs:
            _fit(wrapped, training, settings, seed, progress=progress)
        return tfmot.clustering.keras.strip_clustering(wrapped)


def _merged(kernel: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """A kernel with no more values than its palette had: each is taken to the mean of those around its centroid.

    tfmot's training moves the centroids of channels apart where every channel has all of them; this merges them into
    one palette per kernel.
    """
    if len(palette) > MAX_PALETTE or len(np.unique(kernel)) <= len(palette):
        return kernel
    for _ in range(_MERGING_STEPS):
        palette = np.sort(palette)
        nearest = np.searchsorted((palette[1:] + palette[:-1]) / 2, kernel)
        counts = np.bincount(nearest.reshape(-1), minlength=len(palette))
        sums = np.bincount(nearest.reshape(-1), kernel.reshape(-1), len(palette))
        palette = np.where(counts > 0, sums / np.maximum(counts, 1), palette).astype(np.float32)
    return palette[nearest]


def _refusal(model: tf.keras.Model, error: Exception) -> EdgeError:
    """Names the layer that tfmot's cluster-preserving quantisation does not know."""
    found = next(iter(str(error).strip().splitlines()), type(error).__name__)
    registry = tfmot.experimental.combine.Default8BitClusterPreserveQuantizeScheme().get_quantize_registry()
    known_by_pattern = (tf.keras.layers.InputLayer, tf.keras.layers.BatchNormalization)
    for layer in model.layers:
        if not isinstance(layer, known_by_pattern) and not registry.supports(layer):
            return EdgeError(f"--cqat: tfmot can't quantise the layer {layer.name} ({type(layer).__name__}): {found}")
    return EdgeError(f"--cqat: tfmot can't quantise this model: {found}")


def train_preserving_clusters(
    model: tf.keras.Model,
    settings: ClusterSettings,
    training: Training,
    seed: int,
    *,
    progress: bool = False,
) -> tf.keras.Model:
    """Quantisation-aware training of a palettized model that preserves its palettes (tfmot's CQAT).

    The export measures activation ranges anew; the returned model has weights that are adapted to int8.

    Args:
        model: A functional Keras model whose kernels have palettes; it stays as it is.
        settings: Epochs, learning rate, batch size.
        training: Examples to train on.
        seed: Of the shuffling.
        progress: Whether a bar is shown on standard error.

    Returns:
        A plain model of the same architecture.

    Raises:
        EdgeError: If tfmot can't quantise one of its layers.
    """
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            raise EdgeError(f"--cqat: {layer.name} is a nested model, whose layers tfmot can't quantise")
    result = _copy(model)
    with _quiet():
        try:
            annotated = tfmot.quantization.keras.quantize_annotate_model(_copy(model))
            scheme = tfmot.experimental.combine.Default8BitClusterPreserveQuantizeScheme()
            trained = tfmot.quantization.keras.quantize_apply(annotated, scheme)
        except (RuntimeError, ValueError) as error:
            raise _refusal(model, error) from error
        _fit(trained, training, settings, seed, progress=progress)
    for layer in result.layers:
        if not layer.weights:
            continue
        wrapper = trained.get_layer(f"quant_{layer.name}")
        values = {variable.name.rpartition("/")[2]: variable.numpy() for variable in wrapper.weights}
        for variable in layer.weights:
            name = variable.name.rpartition("/")[2]
            value = values[name]
            if name == "kernel:0":
                value = _merged(value, np.unique(variable.numpy()))
            variable.assign(value)
    return result


def prepare(
    model: tf.keras.Model,
    settings: ClusterSettings,
    data: tuple[np.ndarray | tuple[np.ndarray, ...], np.ndarray] | None = None,
    seed: int = 0,
    *,
    progress: bool = False,
) -> tf.keras.Model:
    """Clusters and trains a model as configured.

    Args:
        model: A Keras model; it stays as it is.
        settings: The preparation.
        data: Inputs to train on, (examples, ...) or a tuple of these for a model with several, and their labels
            (examples, ...), of which the loss follows as an accuracy would (`edge.formats.judgement`); None for none.
        seed: Of the shuffling.
        progress: Whether a bar is shown on standard error.

    Raises:
        EdgeError: If the settings are not possible, need data and there are none, or the model is not functional.

    Examples:
        >>> import edge
        >>> import tensorflow as tf
        >>> model = tf.keras.Sequential([tf.keras.layers.Dense(8, input_shape=(16,)), tf.keras.layers.Dense(4)])
        >>> palettized = edge.prepare(model, edge.ClusterSettings(clusters=4))
        >>> len(set(palettized.layers[0].kernel.numpy().ravel())) <= 4
        True
    """
    if not settings.clusters and not settings.cqat:
        return model
    if settings.clusters and not 2 <= settings.clusters <= MAX_PALETTE:
        raise EdgeError(f"--clusters must be between 2 and {MAX_PALETTE}; found {settings.clusters}")
    if seed < 0 or settings.epochs < 0 or not settings.learning_rate > 0:
        raise EdgeError("--seed and --epochs must not be negative, --learning-rate must be more than 0")
    if settings.cqat and data is None:
        raise EdgeError("--cqat trains the model: it needs --train FILE.npz with x and y")
    if not getattr(model, "_is_graph_network", False):
        raise EdgeError("--clusters and --cqat need a functional or sequential Keras model")
    training = None
    if data is not None:
        inputs = (data[0],) if isinstance(data[0], np.ndarray) else tuple(data[0])
        training = Training(inputs, objective(model, inputs, data[1]))
    if settings.clusters:
        model = cluster(model, settings, training, seed, progress=progress)
    if settings.cqat and training is not None:
        model = train_preserving_clusters(model, settings, training, seed, progress=progress)
    return model

"""Our clustered training against tfmot's own wrapper, step by step."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot

from tfc.clustering.layout import layout_of
from tfc.clustering.weights import ClusteredKernels, substituted_kernels
from tfc.codec.palette import dequantize


def small_model():
    tf.keras.utils.set_random_seed(5)
    inputs = tf.keras.Input((8, 8, 2))
    x = tf.keras.layers.Conv2D(6, 3, padding="same", use_bias=False)(inputs)
    x = tf.keras.layers.BatchNormalization(momentum=0.9)(x)
    x = tf.keras.layers.ReLU()(x)
    x = tf.keras.layers.GlobalAveragePooling2D(name="embedding")(x)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(4)(x))


def batches(steps):
    rng = np.random.default_rng(0)
    return [
        (tf.constant(rng.normal(size=(16, 8, 8, 2)), tf.float32), tf.constant(rng.integers(0, 4, 16)))
        for _ in range(steps)
    ]


def sgd_step(model, variables, x, y, applied, rate=0.2):
    with tf.GradientTape() as tape, applied():
        logits = model(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(rate * tf.convert_to_tensor(gradient))
    return float(loss)


def test_three_sgd_steps_equal_those_of_tfmots_wrapper():
    clusters = 6
    keras = tfmot.clustering.keras
    source = small_model()

    def wrap(layer):
        if isinstance(layer, tf.keras.layers.Conv2D | tf.keras.layers.Dense):
            start = keras.CentroidInitialization.LINEAR
            return keras.cluster_weights(layer, number_of_clusters=clusters, cluster_centroids_init=start)
        return layer

    wrapped = tf.keras.models.clone_model(source, clone_function=wrap)
    wrappers = [layer for layer in wrapped.layers if hasattr(layer, "clustering_algorithms")]
    ours = tf.keras.models.clone_model(source)
    plain = [layer for layer in ours.layers if isinstance(layer, tf.keras.layers.Conv2D | tf.keras.layers.Dense)]
    assert len(wrappers) == len(plain) == 2
    for wrapper, layer in zip(wrappers, plain, strict=True):
        # The same latent weights; the wrapper's centroids were spaced over its own.
        layer.kernel.assign(wrapper.original_clusterable_weights["kernel"])
    for theirs, mine in zip(wrapped.layers, ours.layers, strict=True):
        if isinstance(mine, tf.keras.layers.BatchNormalization):
            mine.set_weights(theirs.get_weights())

    # Dense has 24 weights: with 6 clusters it is just large enough to be clustered.
    layout = layout_of(ours, "all", clusters)
    assert len(layout.kernels) == 2
    kernels = ClusteredKernels(ours, layout, clusters)
    kernels.start([wrapper.cluster_centroids["kernel"].numpy() for wrapper in wrappers])
    latent = [ours.trainable_variables[kernel.position] for kernel in layout.kernels]
    np.testing.assert_allclose(
        kernels.centroids[0], np.linspace(latent[0].numpy().min(), latent[0].numpy().max(), clusters), atol=1e-6
    )

    our_variables = [*ours.trainable_variables, *kernels.centroids]
    for x, y in batches(3):
        ours_loss = sgd_step(ours, our_variables, x, y, kernels.applied)
        theirs_loss = sgd_step(wrapped, wrapped.trainable_variables, x, y, contextlib.nullcontext)
        assert abs(ours_loss - theirs_loss) < 1e-6
    for number, wrapper in enumerate(wrappers):
        np.testing.assert_allclose(latent[number], wrapper.original_clusterable_weights["kernel"], atol=1e-6)
        np.testing.assert_allclose(kernels.centroids[number], wrapper.cluster_centroids["kernel"], atol=1e-6)
        assert not np.allclose(latent[number], kernels.kernels()[number], atol=1e-3)

    palettes = kernels.snap()
    stripped = keras.strip_clustering(wrapped)
    expected = [layer.kernel for layer in stripped.layers if hasattr(layer, "kernel")]
    for palette, variable, kernel in zip(palettes, latent, expected, strict=True):
        np.testing.assert_array_equal(dequantize(tf.nest.map_structure(np.asarray, palette)), variable)
        np.testing.assert_allclose(variable, kernel, atol=1e-6)
        assert len(np.unique(variable)) <= clusters


def test_substituted_kernels_leave_the_model_as_it_was():
    model = small_model()
    layout = layout_of(model, "conv", 8)
    before = [id(variable) for variable in model.trainable_variables]
    x = tf.random.stateless_normal([2, 8, 8, 2], [0, 1])
    original = model(x, training=False).numpy()
    with substituted_kernels(model, layout, [tf.zeros(layout.kernels[0].shape)]):
        assert not np.allclose(model(x, training=False), original)
    np.testing.assert_array_equal(model(x, training=False), original)
    assert [id(variable) for variable in model.trainable_variables] == before


@pytest.mark.parametrize("layers,kinds", [("conv", ["Conv2D"]), ("all", ["Conv2D", "Dense"]), ("none", [])])
def test_layout_splits_and_joins(layers, kinds):
    model = small_model()
    layout = layout_of(model, layers, 8)
    assert [type(model.get_layer(kernel.layer)).__name__ for kernel in layout.kernels] == kinds
    trainable, non_trainable = model.trainable_variables, model.non_trainable_variables
    kernels, others = layout.split(trainable, non_trainable)
    assert tuple(tuple(kernel.shape) for kernel in kernels) == layout.kernel_shapes
    assert tuple(tuple(other.shape) for other in others) == layout.other_shapes
    joined = layout.join(kernels, others)
    for left, right in zip(joined, (trainable, non_trainable), strict=True):
        assert all(a is b for a, b in zip(left, right, strict=True))
        assert len(left) == len(right)


def test_depthwise_kernels_are_clustered_on_request_only():
    inputs = tf.keras.Input((8, 8, 32))
    model = tf.keras.Model(inputs, tf.keras.layers.DepthwiseConv2D(3)(inputs))
    assert layout_of(model, "all", 16).kernels == ()
    (kernel,) = layout_of(model, "all+depthwise", 16).kernels
    assert kernel.attribute == "depthwise_kernel"
    assert kernel.shape == (3, 3, 32, 1)


def test_kernels_that_a_codebook_would_not_shrink_are_left_alone():
    model = small_model()
    assert [kernel.shape for kernel in layout_of(model, "all", 11).kernels] == [(3, 3, 2, 6), (6, 4)]
    assert [kernel.shape for kernel in layout_of(model, "all", 12).kernels] == [(3, 3, 2, 6)]


def test_unknown_choice_of_layers_is_refused():
    with pytest.raises(ValueError, match="found 'dense'"):
        layout_of(small_model(), "dense", 8)

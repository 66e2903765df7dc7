"""Models: published sizes, and what the rest of the house relies on."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot

from tfc.clustering.layout import layout_of
from tfc.registries import MODELS


@pytest.mark.parametrize(
    "name,shape,total,trainable,kernels",
    [
        ("resnet8", (28, 28, 1), 78042, 77562, 77072),
        ("resnet20", (32, 32, 3), 271098, 269722, 268336),
        ("mobilenet", (96, 64, 1), 3238538, 3216650, 3150112),
        ("mobilenet", (98, 40, 1), 3238538, 3216650, 3150112),
        # 10x4x64 + 4 x (3x3x64 depthwise + 64x64) + 64x10, nine BatchNorms of 64, ten biases.
        ("dscnn", (98, 40, 1), 24202, 23050, 19584),
        # 5 x (6x32 + 32x48 + 48x64) + 64x10, BatchNorms of 144 channels, ten biases.
        ("conv1d", (100, 6), 25226, 24938, 24640),
    ],
)
def test_numbers_of_parameters(name, shape, total, trainable, kernels):
    model = MODELS[name](shape, 10)
    assert model.count_params() == total
    assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == trainable
    layout = layout_of(model, "all", 32)
    assert sum(int(np.prod(shape)) for shape in layout.kernel_shapes) == kernels


def shape_for(name, image):
    return (100, 6) if name == "conv1d" else image


@pytest.mark.parametrize("name", sorted(MODELS))
def test_models_have_logits_an_embedding_and_seeded_weights(name):
    shape = shape_for(name, (28, 28, 1))
    model = MODELS[name](shape, 7, seed=3, batchnorm_momentum=0.8)
    assert model.output_shape == (None, 7)
    assert model.get_layer("embedding").output.shape == (None, 1024 if name == "mobilenet" else 64)
    norms = [layer for layer in model.layers if isinstance(layer, tf.keras.layers.BatchNormalization)]
    assert norms and all(layer.momentum == 0.8 for layer in norms)
    for same, other in zip(model.weights, MODELS[name](shape, 7, seed=3).weights, strict=True):
        np.testing.assert_array_equal(same, other)
    different = MODELS[name](shape, 7, seed=4)
    assert (model.weights[0].numpy() != different.weights[0].numpy()).any()


def test_resnet20_has_the_0_27_million_parameters_of_he_et_al():
    """Table 6 of arXiv 1512.03385: 19 convolutions and a dense layer; type A shortcuts have none."""
    model = MODELS["resnet20"]((32, 32, 3), 10)
    kernels = 9 * (3 * 16 + 6 * 16**2 + 16 * 32 + 5 * 32**2 + 32 * 64 + 5 * 64**2) + 64 * 10
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    assert kernels + norms + 10 == 269722 == sum(int(np.prod(each.shape)) for each in model.trainable_variables)
    assert not [layer for layer in model.layers if getattr(layer, "kernel_size", None) == (1, 1)]


def test_dscnn_is_mlperf_tinys_without_the_biases_that_batchnorm_makes_idle():
    assert MODELS["dscnn"]((98, 40, 1), 12).count_params() == 24908 - 9 * 64


def test_resnet20s_shortcut_subsamples_and_pads_with_zeros():
    model = MODELS["resnet20"]((8, 8, 3), 10)
    shortcut = next(layer for layer in model.layers if isinstance(layer, tf.keras.layers.AveragePooling2D))
    end = next(
        layer for layer in model.layers if isinstance(layer, tf.keras.layers.Permute) and layer.output.shape[-1] == 32
    )
    path = tf.keras.Model(shortcut.input, end.output)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype(np.float32)
    expected = np.pad(x[:, ::2, ::2], [(0, 0), (0, 0), (0, 0), (8, 8)])
    np.testing.assert_array_equal(path(x), expected)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_tfmot_accepts_the_layers_for_clustering_and_quantisation(name):
    model = MODELS[name](shape_for(name, (32, 32, 3)), 10)
    tfmot.quantization.keras.quantize_apply(tfmot.quantization.keras.quantize_annotate_model(model))
    start = tfmot.clustering.keras.CentroidInitialization.LINEAR
    tfmot.clustering.keras.cluster_weights(model, number_of_clusters=4, cluster_centroids_init=start)

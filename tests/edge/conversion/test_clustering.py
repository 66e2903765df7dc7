"""Palettes for models that have none: tfmot's clustering, and its training that keeps them."""

import numpy as np
import pytest
import tensorflow as tf

from edge.conversion.clustering import ClusterSettings, prepare
from tfc.base.errors import EdgeError, ModelFileError

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def trained():
    """A model that knows which quarter of an image is bright, and data to tell."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 400)
    x = 0.5 * rng.random((400, *SHAPE), np.float32)
    for image, label in zip(x, y, strict=True):
        image[4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 0.5
    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    inputs = tf.keras.Input(SHAPE)
    z = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    z = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(z))
    model = tf.keras.Model(inputs, layers.Dense(4)(layers.Flatten()(z)))
    model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=8, batch_size=20, verbose=0)
    return model, x, y


def accuracy(model, x, y):
    return float((model(x).numpy().argmax(axis=1) == y).mean())


def distinct(model):
    return [len(np.unique(layer.kernel.numpy())) for layer in model.layers if hasattr(layer, "kernel")]


@pytest.mark.parametrize("cqat", [False, True])
def test_kernels_get_palettes_and_the_model_stays_as_good(trained, cqat):
    model, x, y = trained
    before = model.get_weights()
    settings = ClusterSettings(clusters=8, cqat=cqat, epochs=2, learning_rate=1e-3)
    made = prepare(model, settings, (x, y))
    assert max(distinct(made)) <= 8 < min(distinct(model))
    assert accuracy(made, x, y) > 0.9
    assert type(made.layers[1]) is type(model.layers[1])  # plain layers, no wrappers
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)  # the caller's model is left alone


def test_without_data_the_weights_move_to_their_nearest_centroids(trained):
    model, _, _ = trained
    made = prepare(model, ClusterSettings(clusters=16))
    assert max(distinct(made)) <= 16
    kernel, original = made.layers[1].kernel.numpy(), model.layers[1].kernel.numpy()
    palette = np.unique(kernel)
    nearest = palette[np.abs(original[..., None] - palette).argmin(axis=-1)]
    np.testing.assert_allclose(kernel, nearest, atol=1e-6)


def test_a_file_with_tfmots_wrappers_is_exported_without_them(trained, tmp_path):
    import tensorflow_model_optimization as tfmot

    from edge.conversion.variants import export
    from edge.formats.inspection import inspect

    model = tf.keras.models.clone_model(trained[0])
    model.set_weights(trained[0].get_weights())
    start = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS

    def wrapped(layer):
        if not hasattr(layer, "kernel"):
            return layer
        return tfmot.clustering.keras.cluster_weights(layer, number_of_clusters=8, cluster_centroids_init=start)

    clustered = tf.keras.models.clone_model(model, clone_function=wrapped)
    with pytest.warns(UserWarning, match="legacy"):
        clustered.save(tmp_path / "wrapped.h5")
    done = export(tmp_path / "wrapped.h5", tmp_path, ("wo8",))
    assert all(row["distinct"] <= 8 for row in inspect(done.paths["wo8"])["kernels"])
    clustered.save(tmp_path / "wrapped.keras")
    with pytest.raises(ModelFileError, match="save it after tfmot"):
        export(tmp_path / "wrapped.keras", tmp_path, ("wo8",))


def test_nothing_asked_for_changes_nothing(trained):
    assert prepare(trained[0], ClusterSettings()) is trained[0]


@pytest.mark.parametrize(
    "settings,message",
    [
        (ClusterSettings(clusters=1), "--clusters must be between 2 and 128; found 1"),
        (ClusterSettings(clusters=500), "--clusters must be between 2 and 128; found 500"),
        (ClusterSettings(cqat=True), "needs --train FILE.npz"),
    ],
)
def test_what_can_not_be_done_is_refused(trained, settings, message):
    with pytest.raises(EdgeError, match=message):
        prepare(trained[0], settings)


def test_models_that_are_not_functional_are_refused():
    class Subclassed(tf.keras.Model):
        pass

    with pytest.raises(EdgeError, match="need a functional or sequential Keras model"):
        prepare(Subclassed(), ClusterSettings(clusters=8))


@pytest.mark.parametrize("frozen", [False, True])
def test_layers_of_nested_and_frozen_models_are_clustered(frozen):
    """The usual transfer model: a frozen base within a new head."""
    layers = tf.keras.layers
    base = tf.keras.Sequential(
        [tf.keras.Input(SHAPE), layers.Conv2D(8, 3), layers.BatchNormalization(), layers.GlobalAveragePooling2D()]
    )
    base.trainable = not frozen
    inputs = tf.keras.Input(SHAPE)
    model = tf.keras.Model(inputs, layers.Dense(4, activation="softmax")(base(inputs, training=False)))
    rng = np.random.default_rng(0)
    data = rng.random((32, *SHAPE), np.float32), rng.integers(0, 4, 32)
    untrained = prepare(model, ClusterSettings(clusters=8))
    made = prepare(model, ClusterSettings(clusters=8, learning_rate=1e-2), data)
    assert [len(np.unique(w)) for w in made.get_weights() if w.ndim > 1] == [8, 8]
    kernels = [each.get_weights()[0] for each in (untrained.layers[1], made.layers[1])]
    assert (np.abs(kernels[0] - kernels[1]).max() < 1e-6) == frozen
    with pytest.raises(EdgeError, match=f"--cqat: {base.name} is a nested model"):
        prepare(model, ClusterSettings(cqat=True), data)


def test_cqat_names_the_layer_that_it_can_not_take():
    layers = tf.keras.layers
    model = tf.keras.Sequential([tf.keras.Input((6, 4)), layers.LSTM(4, name="memory"), layers.Dense(2)])
    data = np.zeros((8, 6, 4), np.float32), np.zeros(8, np.int64)
    with pytest.raises(EdgeError, match="the layer memory"):
        prepare(model, ClusterSettings(cqat=True), data)

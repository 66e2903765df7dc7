"""Distillation: its loss against SciPy, and what it does to a student."""

import numpy as np
import scipy.special
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.clustering.centroids import kmeans_plus_plus
from tfc.clustering.layout import layout_of
from tfc.clustering.weights import ClusteredKernels
from tfc.config import ServerConfig
from tfc.data.ood import procedural_images
from tfc.methods.distillation import distill, distillation_loss
from tfc.registries import MODELS


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.floats(0.5, 8))
def test_loss_is_the_divergence_of_softened_outputs(seed, temperature):
    rng = np.random.default_rng(seed)
    teacher, student = rng.normal(size=(2, 6, 5)).astype(np.float32) * 3
    p = scipy.special.softmax(teacher.astype(np.float64) / temperature, axis=1)
    q = scipy.special.softmax(student.astype(np.float64) / temperature, axis=1)
    expected = scipy.special.rel_entr(p, q).sum(axis=1).mean()
    found = float(distillation_loss(tf.constant(teacher), tf.constant(student), temperature))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert float(distillation_loss(tf.constant(teacher), tf.constant(teacher), temperature)) == 0


def test_a_clustered_student_comes_closer_to_its_teacher_and_keeps_its_statistics():
    shape = (12, 12, 1)
    teacher, student = (MODELS["resnet8"](shape, 10, seed=1) for _ in range(2))
    layout = layout_of(student, "all", 8)
    kernels = ClusteredKernels(student, layout, 8)
    latent = [student.trainable_variables[kernel.position] for kernel in layout.kernels]
    kernels.start([kmeans_plus_plus(weights, tf.constant(4), 8, tf.constant([0, 1])) for weights in latent])
    ood_fn = procedural_images(64, 16, shape, seed=0)
    x = next(iter(procedural_images(64, 64, shape, seed=9)()))

    def distance():
        with kernels.applied():
            return float(distillation_loss(teacher(x, training=False), student(x, training=False), 2.0))

    before = distance()
    statistics = [variable.numpy() for variable in student.non_trainable_variables]
    teachers = [variable.numpy() for variable in teacher.variables]

    @tf.function
    def run():
        return distill(teacher, student, kernels, ood_fn, ServerConfig(epochs=6, learning_rate=3e-3))

    run()
    assert distance() < 0.5 * before
    for variable, value in zip(student.non_trainable_variables, statistics, strict=True):
        np.testing.assert_array_equal(variable, value)
    for variable, value in zip(teacher.variables, teachers, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_no_epochs_leave_the_student_alone():
    model = MODELS["resnet8"]((8, 8, 1), 4)
    kernels = ClusteredKernels(model, layout_of(model, "all", 8), 8)
    before = [variable.numpy() for variable in model.variables]

    @tf.function
    def run():
        return distill(model, model, kernels, procedural_images(8, 8, (8, 8, 1), 0), ServerConfig(epochs=0))

    assert float(run()) == 0
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_batches_of_any_size_come_in_the_order_of_the_pipeline():
    shape = (8, 8, 1)
    teacher, student = (MODELS["resnet8"](shape, 4, seed=seed) for seed in (1, 2))
    kernels = ClusteredKernels(student, layout_of(student, "all", 8), 8)
    kernels.start([tf.linspace(-0.3, 0.3, 8)] * len(kernels.centroids))
    inputs = tf.random.stateless_uniform([6, *shape], [0, 1])
    parts = [inputs[:3], inputs[3:4], inputs[4:]]

    def uneven():
        return tf.data.Dataset.from_generator(lambda: parts, output_signature=tf.TensorSpec([None, *shape]))

    @tf.function
    def run():
        return distill(teacher, student, kernels, uneven, ServerConfig(epochs=2, learning_rate=1e-12))

    with kernels.applied():
        expected = distillation_loss(teacher(parts[-1], training=False), student(parts[-1], training=False), 2.0)
    np.testing.assert_allclose(float(run()), float(expected), rtol=1e-4)

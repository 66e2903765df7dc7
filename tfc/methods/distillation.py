"""Server-side self-compression: the float model teaches its clustered copy on out-of-distribution inputs."""

from __future__ import annotations

import tensorflow as tf

from tfc.clustering.weights import ClusteredKernels
from tfc.config import ServerConfig
from tfc.data.ood import OodFn
from tfc.federated.training_loop import adam


def distillation_loss(teacher_logits: tf.Tensor, student_logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """Returns the mean of KL(softmax(teacher / T) || softmax(student / T)) in nats.

    Source: FedCompress, server-side self-compression; Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural
    Network" (arXiv 1503.02531).

    Args:
        teacher_logits: float32 (batch, classes).
        student_logits: float32 (batch, classes).
        temperature: T, over 0.

    Returns:
        float32 scalar.
    """
    log_teacher = tf.nn.log_softmax(teacher_logits / temperature)
    log_student = tf.nn.log_softmax(student_logits / temperature)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(log_teacher) * (log_teacher - log_student), axis=-1))


def distill(
    teacher: tf.keras.Model,
    student: tf.keras.Model,
    kernels: ClusteredKernels,
    ood_fn: OodFn,
    config: ServerConfig,
) -> tf.Tensor:
    """Trains the student through its clustered kernels; call it inside a `tf.function`.

    Both models run in inference mode: BatchNorm statistics of out-of-distribution inputs must not enter the model, so
    the student's stay those of the aggregated model.

    Args:
        teacher: The float model: the clients' mean, or the master with the mean's BatchNorm.
        student: A copy of it; its kernel variables are the latent weights.
        kernels: The student's centroids, started.
        ood_fn: Builds the unlabelled pipeline.
        config: Epochs, learning rate, temperature.

    Returns:
        float32 scalar, the loss of the last step (0 without steps).
    """
    variables = [*student.trainable_variables, *kernels.centroids]
    state, update = adam(variables, config.learning_rate)
    last_loss = tf.constant(0.0)
    if not config.epochs:
        return last_loss
    # The teacher answers once, so every pass has to see the inputs of the first, in their order.
    inputs = ood_fn().cache()
    answers = tf.TensorArray(
        tf.float32, 1, dynamic_size=True, infer_shape=False, element_shape=[None, teacher.output.shape[-1]],
        clear_after_read=False,
    )  # fmt: skip
    count = tf.constant(0)
    for x in inputs:
        answers = answers.write(count, teacher(x, training=False))
        count += 1
    for number, x in inputs.repeat(config.epochs).enumerate():
        target = answers.read(tf.cast(number, tf.int32) % count)
        with tf.GradientTape() as tape, kernels.applied():
            last_loss = distillation_loss(target, student(x, training=False), config.temperature)
        state = update(state, tape.gradient(last_loss, variables))
    return last_loss

"""Server-side self-compression: the float model teaches its clustered copy on out-of-distribution inputs."""

from __future__ import annotations

import tensorflow as tf

from tfc.clustering.weights import ClusteredKernels
from tfc.config import ServerConfig
from tfc.data.ood_pipeline import OodFn
from tfc.federated.training_loop import adam


@tf.autograph.experimental.do_not_convert
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


def _gathered(batches: tf.data.Dataset) -> tuple[tf.TensorArray, tf.Tensor]:
    """Returns the batches of a pipeline and how many there are: they are drawn, and the teacher answers, once.

    A loop over a pipeline is optimised again each time that it runs: with a model's gradients in it, for half a second.
    """
    spec = batches.element_spec
    gathered = tf.TensorArray(
        spec.dtype, 1, dynamic_size=True, infer_shape=False, element_shape=spec.shape, clear_after_read=False
    )
    count = tf.constant(0)
    for batch in batches:
        gathered = gathered.write(count, batch)
        count += 1
    return gathered, count


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
    inputs, count = _gathered(ood_fn())
    shape = tf.TensorShape([None, teacher.output.shape[-1]])
    answers = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=shape, clear_after_read=False)
    for number in tf.range(count):
        answers = answers.write(number, teacher(inputs.read(number), training=False))
    for step in tf.range(config.epochs * count):
        x, target = inputs.read(step % count), answers.read(step % count)
        with tf.GradientTape() as tape, kernels.applied():
            last_loss = distillation_loss(target, student(x, training=False), config.temperature)
        state = update(state, tape.gradient(last_loss, variables))
    return last_loss

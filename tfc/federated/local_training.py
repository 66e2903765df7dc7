"""What every client does in a round, whatever it sends: take its examples in order, and measure itself afterwards."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfc.clustering.quality import quality_score
from tfc.config import TrainingConfig
from tfc.data.pixels import to_float
from tfc.federated.client_data import ClientContext, ClientFlags, gather_examples
from tfc.federated.training_loop import classification_gradients, predict, run_steps, shuffled_order
from tfc.seeds import Purpose, hashed

_PREDICTION_BATCH = 256


class LocalExamples(NamedTuple):
    """A client's training examples and the order it takes them in.

    Attributes:
        x: float32 (examples, *input_shape).
        y: int32 (examples,).
        order: int32 (steps, examples per step).
    """

    x: tf.Tensor
    y: tf.Tensor
    order: tf.Tensor

    @property
    def count(self) -> tf.Tensor:
        """Number of examples, int32 scalar."""
        return tf.shape(self.y)[0]


def local_examples(
    batches: tf.data.Dataset, context: ClientContext, epochs: int, batch_size: int, seed: int
) -> LocalExamples:
    """Gathers a client's training examples.

    Args:
        batches: Elements with x and y.
        context: Whose order, in which round.
        epochs: Number of epochs.
        batch_size: Examples per step.
        seed: Seed of the run.
    """
    x, y = gather_examples(batches)
    x = to_float(x)
    order = shuffled_order(tf.shape(y)[0], epochs, batch_size, seed, context.round, context.client)
    return LocalExamples(x, y, order)


def train_plainly(
    model: tf.keras.Model,
    local: LocalExamples,
    steps: Any,
    training: TrainingConfig,
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    scale: tf.Tensor,
) -> None:
    """Trains a model's free weights on the first of a client's steps.

    Args:
        model: The model; changed.
        local: The client's examples.
        steps: How many steps, int32 scalar; None for all.
        training: Learning rate.
        augment: What `augmentation_of_steps` returned.
        scale: float32 scalar, what the change is multiplied by: 1, or a fault of the client's.
    """
    variables = model.trainable_variables
    before = [variable.read_value() for variable in variables]
    gradients = classification_gradients(model, variables, contextlib.nullcontext)
    run_steps(local.order[:steps], local.x, local.y, variables, gradients, training.learning_rate, augment)
    for variable, start in zip(variables, before, strict=True):
        learned = variable.read_value()
        # An honest client's weights keep their bits.
        variable.assign(tf.where(tf.equal(scale, 1.0), learned, start + scale * (learned - start)))


class SelfTest(NamedTuple):
    """What a client finds of its model after training.

    Attributes:
        scalars: float32 (4,): training examples, validation examples, validation accuracy, quality score.
        finite: bool scalar, whether every number of the model is finite.
    """

    scalars: tf.Tensor
    finite: tf.Tensor


def embedding_model(model: tf.keras.Model) -> tf.keras.Model:
    """Returns the model with its embeddings as a first output.

    Args:
        model: Logits out, a layer named `embedding`.
    """
    return tf.keras.Model(model.inputs, [model.get_layer("embedding").output, model.output])


def self_test(
    model: tf.keras.Model,
    embedding: tf.keras.Model,
    validation: tf.data.Dataset,
    num_examples: tf.Tensor,
    more: Sequence[Any] = (),
) -> SelfTest:
    """Evaluates a client's model on its validation examples.

    Args:
        model: The model.
        embedding: What `embedding_model` made of it.
        validation: Elements with x and y.
        num_examples: int32 scalar, training examples.
        more: Further float32 tensors that have to be finite.
    """
    x_validation, y_validation = gather_examples(validation)
    num_validation = tf.shape(y_validation)[0]
    embeddings, logits = predict(
        lambda batch: tuple(embedding(to_float(batch), training=False)), x_validation, _PREDICTION_BATCH
    )
    embeddings = tf.reshape(embeddings, [num_validation, embedding.output[0].shape[-1]])
    logits = tf.reshape(logits, [num_validation, model.output.shape[-1]])
    # In TFF's bare graphs `==` between tensors compares Python objects.
    hits = tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), y_validation), tf.float32)
    accuracy = tf.math.divide_no_nan(tf.reduce_sum(hits), tf.cast(num_validation, tf.float32))
    weight = tf.cast(num_examples, tf.float32)
    finite = tf.reduce_all(
        [tf.reduce_all(tf.math.is_finite(values)) for values in (*model.weights, *more, embeddings, logits)]
    )
    # The decomposition of a matrix that is not finite may not end.
    score = quality_score(tf.where(finite, embeddings, 0.0))
    return SelfTest(tf.stack([weight, tf.cast(num_validation, tf.float32), accuracy, score]), finite)


FAULT_KINDS = ("dropped", "not_finite", "late")
"""Why a client's answer does not arrive, in the order in which they are looked for."""


class Arrival(NamedTuple):
    """What becomes of a client's answer.

    Attributes:
        sent: bool scalar, whether it reaches the server, sound or damaged.
        accepted: bool scalar, whether it also reaches it undamaged.
        by_fault: int32 (3,), a one at the fault of `FAULT_KINDS` that keeps it from arriving.
    """

    sent: tf.Tensor
    accepted: tf.Tensor
    by_fault: tf.Tensor


def _flagged(context: ClientContext, flag: ClientFlags) -> tf.Tensor:
    return tf.not_equal(tf.bitwise.bitwise_and(context.flags, int(flag)), 0)


def arrival(
    context: ClientContext, num_examples: tf.Tensor, understood: tf.Tensor, finite: tf.Tensor, answer_bytes: Any
) -> Arrival:
    """Decides what becomes of a client's answer.

    A client without examples, or one that can't decode the broadcast, has nothing to say: it counts as dropped.

    Args:
        context: Says whether it vanishes, and how long its answer may be.
        num_examples: int32 scalar, training examples.
        understood: bool scalar, whether it could decode the broadcast.
        finite: bool scalar, whether every number of its model is finite.
        answer_bytes: int32 scalar, length of its answer.
    """
    dropped = _flagged(context, ClientFlags.DROPOUT) | ~understood | (num_examples <= 0)
    broken = ~dropped & ~finite
    late = ~dropped & finite & (answer_bytes > context.most_bytes)
    sent = ~(dropped | broken | late)
    by_fault = tf.cast(tf.stack([dropped, broken, late]), tf.int32)
    return Arrival(sent, sent & ~_flagged(context, ClientFlags.CORRUPT), by_fault)


def payload_on_arrival(answer: tf.Tensor, found: Arrival, context: ClientContext, seed: int) -> tf.Tensor:
    """Returns the bytes that reach the server, uint8 (bytes,): none, the answer, or the answer with a changed byte.

    Args:
        answer: uint8 (bytes,).
        found: What becomes of it.
        context: Whose answer, in which round.
        seed: Seed of the run.
    """
    length = tf.size(answer)
    draw = hashed(seed, Purpose.FAULTS, context.round, context.client)
    place = tf.cast(tf.math.floormod(draw, tf.cast(tf.maximum(length, 1), tf.int64)), tf.int32)
    hit = tf.equal(tf.range(length), place) & ~found.accepted
    changed = tf.where(hit, tf.bitwise.bitwise_xor(answer, tf.constant(0x5A, tf.uint8)), answer)
    return changed[: tf.where(found.sent, length, 0)]


def outcome(
    answer: tf.Tensor, found: Arrival, test: SelfTest, context: ClientContext, seed: int
) -> collections.OrderedDict[str, tf.Tensor]:
    """Returns what a round gets of a client that answers with bytes: `update`, `weight`, `by_fault`.

    Args:
        answer: uint8 (bytes,).
        found: What becomes of it.
        test: What it found of its model; its weight is its number of examples, 0 where the answer does not arrive.
        context: Whose answer, in which round.
        seed: Seed of the run.
    """
    return collections.OrderedDict(
        update=payload_on_arrival(answer, found, context, seed),
        weight=tf.where(found.sent, test.scalars[0], 0.0),
        by_fault=found.by_fault,
    )

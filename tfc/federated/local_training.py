"""Local training: what a client does in every method, before it codes its answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from tfc.clustering.layout import WeightLayout
from tfc.clustering.quality import quality_score
from tfc.config import TrainingConfig
from tfc.data.augmentation import augmentation_of_steps
from tfc.data.pixels import to_float
from tfc.federated.client_data import ClientContext, first_context, gather_examples
from tfc.federated.layer_randomness import LayerRandomness
from tfc.federated.model_spec import ModelSpec
from tfc.federated.model_weights import assign, read_weights
from tfc.federated.training_loop import classification_gradients, predict, run_steps, shuffled_order
from tfc.models.embedding import find_embedding, with_embedding
from tfc.schedule import at_round
from tfc.seeds import Purpose, stateless

_PREDICTION_BATCH = 256
_LEAST_LEARNED = 1e-3
"""Share of new statistics in a moving average below which rounding would rule what the correction leaves."""

WithEmbedding = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""inputs -> (embeddings, logits)."""

Keyed = Callable[[Any], contextlib.AbstractContextManager[None]]
"""(number of the step) -> a context in which random layers draw from that step's key."""


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
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    learning_rate: Any,
    scale: tf.Tensor,
    keyed: Keyed,
) -> None:
    """Trains a model's free weights on the first of a client's steps.

    Args:
        model: The model; changed.
        local: The client's examples.
        steps: How many steps, int32 scalar; None for all.
        augment: What `augmentation_of_steps` returned.
        learning_rate: Adam's, float32 scalar.
        scale: float32 scalar, what the change is multiplied by: 1, or a fault of the client's.
        keyed: What random layers draw from in a step.
    """
    variables = model.trainable_variables
    before = [variable.read_value() for variable in variables]
    gradients = classification_gradients(model, variables, contextlib.nullcontext, keyed)
    run_steps(local.order[:steps], local.x, local.y, variables, gradients, learning_rate, augment)
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


def self_test(
    model: tf.keras.Model,
    embedding: WithEmbedding,
    validation: tf.data.Dataset,
    num_examples: tf.Tensor,
    more: Sequence[Any] = (),
) -> SelfTest:
    """Evaluates a client's model on its validation examples.

    Args:
        model: The model.
        embedding: What `with_embedding` made of it.
        validation: Elements with x and y.
        num_examples: int32 scalar, training examples.
        more: Further float32 tensors that have to be finite.
    """
    x_validation, y_validation = gather_examples(validation)
    num_validation = tf.shape(y_validation)[0]
    embeddings, logits = predict(lambda batch: embedding(to_float(batch)), x_validation, _PREDICTION_BATCH)
    embeddings = tf.reshape(embeddings, [num_validation, embeddings.shape[-1]])
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


class LocalRound(NamedTuple):
    """A client in one round, after its plain epochs.

    Attributes:
        context: Who it is, in which round.
        examples: Its training examples, in the order of this round.
        plain_steps: int32 scalar, how many of the steps are done.
        statistics: float32 tensors, the moving weights of the broadcast.
        augment: (inputs of a step, its number) -> inputs, randomly changed.
        keyed: What random layers draw from in a step.
    """

    context: ClientContext
    examples: LocalExamples
    plain_steps: tf.Tensor
    statistics: tuple[tf.Tensor, ...]
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    keyed: Keyed


@dataclass(frozen=True)
class LocalTraining:
    """Local training of one model, alike in every method; made while a client's computation is traced.

    Attributes:
        model: The client's model.
        embedding: What `with_embedding` made of it.
        randomness: What its random layers draw from.
        layout: Which of its weights are clustered kernels.
        frozen: Values of the weights that training does not move.
        training: Batch size, learning rates, augmentation.
        plain_epochs: Epochs with free weights.
        clustered_epochs: Epochs that follow them, which the method trains itself.
        seed: Seed of the run.
        rounds: Number of rounds of the run.
    """

    model: tf.keras.Model
    embedding: WithEmbedding
    randomness: LayerRandomness
    layout: WeightLayout
    frozen: tuple[Any, ...]
    training: TrainingConfig
    plain_epochs: int
    clustered_epochs: int
    seed: int
    rounds: int

    @classmethod
    def of(cls, spec: ModelSpec, training: TrainingConfig, seed: int, rounds: int) -> LocalTraining:
        """Builds the model; without clustered kernels all epochs are plain.

        Args:
            spec: The model.
            training: Epochs, batch size, learning rates, augmentation.
            seed: Seed of the run.
            rounds: Number of rounds of the run.
        """
        model = spec.model_fn()
        clustered = training.clustered_epochs if spec.layout.kernels else 0
        plain = training.plain_epochs + training.clustered_epochs - clustered
        embedding, randomness = with_embedding(model, spec.embedding or find_embedding(model)), LayerRandomness(model)
        parts = (model, embedding, randomness, spec.layout, spec.frozen, training, plain, clustered)
        return cls(*parts, seed, rounds)

    def learning_rate(self, first: float, context: ClientContext) -> tf.Tensor:
        """Returns a learning rate in the client's round, float32 scalar: it may fall in the last ones.

        Args:
            first: That of the first rounds.
            context: Says which round it is.
        """
        training = self.training
        final = training.final_learning_rate_share
        return first * at_round(1.0, final, self.rounds, training.final_rounds, context.round)

    def run(self, kernels: Sequence[tf.Tensor], others: Sequence[tf.Tensor], data: Any) -> LocalRound:
        """Sets the model to the broadcast and trains the plain epochs.

        Args:
            kernels: float32 tensors, the broadcast's clustered kernels.
            others: float32 tensors, its side parameters.
            data: The client's data, of `client_data_type`.
        """
        context = first_context(data["context"])
        epochs = self.plain_epochs + self.clustered_epochs
        examples = local_examples(data["train"], context, epochs, self.training.batch_size, self.seed)
        plain_steps = tf.shape(examples.order)[0] * self.plain_epochs // epochs
        assign(self.model, self.layout, kernels, others, self.frozen)
        augment = augmentation_of_steps(self.training.augmentation, self.seed, context.round, context.client)

        def keyed(step: Any) -> contextlib.AbstractContextManager[None]:
            return self.randomness.keyed(stateless(self.seed, Purpose.LAYERS, context.round, context.client, step))

        _, start = read_weights(self.model, self.layout)
        statistics = tuple(start[len(start) - len(self.layout.moving) :])
        rate = self.learning_rate(self.training.learning_rate, context)
        train_plainly(self.model, examples, plain_steps, augment, rate, context.scale, keyed)
        return LocalRound(context, examples, plain_steps, statistics, augment, keyed)

    def finish(self, local: LocalRound, data: Any, more: Sequence[Any] = ()) -> SelfTest:
        """Ends local training: takes what never was a statistic out of moving averages, then evaluates the model.

        Moving averages start at 0 and 1, which no batch ever had; after n steps they still make up the momentum to the
        power of n of the average: with a first convolution whose outputs vary by 0.01, and 30 steps at momentum 0.9,
        that is most of the variance, and the model is at chance. The correction is Adam's for its own averages.

        Source: Kingma, Ba, "Adam: A Method for Stochastic Optimization" (arXiv 1412.6980), section 3.

        Args:
            local: What `run` returned.
            data: The client's data.
            more: Further float32 tensors that have to be finite.
        """
        steps = tf.cast(tf.shape(local.examples.order)[0], tf.float32)
        moved = zip(self.layout.moving, self.layout.kept_shares, local.statistics, strict=True)
        for position, kept, start in moved:
            variable = self.model.non_trainable_variables[position]
            left = tf.pow(kept, steps)
            corrected = (variable.read_value() - left * start) / (1.0 - left)
            at_one = tf.reduce_all(tf.equal(start, 1.0))
            # A variance, which rounding must not make negative.
            corrected = tf.where(at_one, tf.maximum(corrected, 0.0), corrected)
            untouched = (tf.reduce_all(tf.equal(start, 0.0)) | at_one) & (1.0 - left > _LEAST_LEARNED)
            variable.assign(tf.where(untouched, corrected, variable.read_value()))
        return self_test(self.model, self.embedding, data["validation"], local.examples.count, more)

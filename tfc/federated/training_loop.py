"""Local training in TensorFlow ops: one loop over shuffled batches, for clients and for whoever compares with them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff

from tfc.seeds import Purpose, stateless

Gradients = Callable[[tf.Tensor, tf.Tensor, Any], list[tf.Tensor]]
"""(inputs, classes, number of the step) -> one gradient per variable."""


def steps_per_epoch(num_examples: Any, batch_size: int) -> tuple[Any, Any]:
    """Returns (steps, examples per step).

    Incomplete last batches are dropped, but a client with less than one batch trains on one step of all it has.

    Args:
        num_examples: int32 scalar tensor.
        batch_size: Examples per step.
    """
    batch = tf.maximum(tf.minimum(num_examples, batch_size), 1)
    return num_examples // batch, batch


def shuffled_order(num_examples: tf.Tensor, epochs: int, batch_size: int, seed: int, *keys: Any) -> tf.Tensor:
    """Returns the example numbers of each step of several epochs.

    Args:
        num_examples: int32 scalar tensor.
        epochs: Number of epochs; each is a permutation of its own.
        batch_size: Examples per step.
        seed: Seed of the run.
        *keys: Round and client.

    Returns:
        int32 tensor (epochs * steps, examples per step).
    """
    steps, batch = steps_per_epoch(num_examples, batch_size)
    numbers = tf.range(num_examples)
    orders = []
    for epoch in range(epochs):
        order = tf.random.experimental.stateless_shuffle(numbers, stateless(seed, Purpose.SHUFFLE, *keys, epoch))
        orders.append(tf.reshape(order[: steps * batch], [steps, batch]))
    return tf.concat(orders, axis=0)


def adam(variables: Sequence[tf.Variable], learning_rate: Any) -> tuple[Any, Callable[[Any, Sequence[tf.Tensor]], Any]]:
    """Starts TFF's Adam on variables.

    Args:
        variables: What is trained.
        learning_rate: Adam's, a number or a float32 scalar.

    Returns:
        The first state, and a function (state, gradients) -> next state that moves the variables.
    """
    optimizer = tff.learning.optimizers.build_adam(learning_rate)
    step = tf.autograph.experimental.do_not_convert(optimizer.next)
    specs = tuple(tf.TensorSpec(variable.shape, variable.dtype) for variable in variables)

    def update(state: Any, gradients: Sequence[tf.Tensor]) -> Any:
        dense = tuple(tf.convert_to_tensor(gradient) for gradient in gradients)
        state, values = step(state, tuple(variable.read_value() for variable in variables), dense)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return state

    return tf.nest.map_structure(tf.convert_to_tensor, optimizer.initialize(specs)), update


def run_steps(
    order: tf.Tensor,
    x: tf.Tensor,
    y: tf.Tensor,
    variables: Sequence[tf.Variable],
    gradients: Gradients,
    learning_rate: Any,
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    first_step: Any = 0,
) -> None:
    """Trains with Adam, one step per row of `order`; call it inside a `tf.function`.

    Args:
        order: int32 (steps, examples per step).
        x: Inputs (examples, *input_shape).
        y: Classes, int32 (examples,).
        variables: What is trained.
        gradients: (inputs, classes, number of the step) -> one gradient per variable.
        learning_rate: Adam's, a number or a float32 scalar.
        augment: (inputs of a step, its number) -> inputs, a random change; None for none.
        first_step: Number of the first step, int32 scalar.
    """
    state, update = adam(variables, learning_rate)
    for step in tf.range(tf.shape(order)[0]):
        batch = order[step]
        inputs = tf.gather(x, batch)
        if augment is not None:
            inputs = augment(inputs, first_step + step)
        state = update(state, gradients(inputs, tf.gather(y, batch), first_step + step))


def classification_gradients(
    model: tf.keras.Model,
    variables: Sequence[tf.Variable],
    applied: Any,
    keyed: Callable[[Any], contextlib.AbstractContextManager[None]] = lambda step: contextlib.nullcontext(),
) -> Gradients:
    """Returns the gradients of cross-entropy plus the model's penalties.

    Args:
        model: Inputs -> logits.
        variables: What the gradients are for.
        applied: A function that returns a context in which the model computes, such as `ClusteredKernels.applied`.
        keyed: The same, given the number of the step: what random layers draw from, such as `LayerRandomness.keyed`.
    """

    def gradients(x: tf.Tensor, y: tf.Tensor, step: Any) -> list[tf.Tensor]:
        with tf.GradientTape() as tape, applied(), keyed(step):
            logits = model(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
            loss += tf.add_n(model.losses) if model.losses else 0.0
        return tape.gradient(loss, variables)

    return gradients


def predict(call: Callable[[tf.Tensor], tuple[tf.Tensor, ...]], x: tf.Tensor, batch_size: int) -> tuple[tf.Tensor, ...]:
    """Applies a function to inputs in batches, which bounds memory.

    Args:
        call: Batch of inputs -> tensors whose first axis is the batch.
        x: Inputs (examples, *input_shape); may be empty.
        batch_size: Examples at a time.

    Returns:
        The function's results over all examples.
    """
    signature = [(tensor.dtype, tf.TensorShape([None]).concatenate(tensor.shape[1:])) for tensor in call(x[:1])]
    count = tf.shape(x)[0]
    batches = (count + batch_size - 1) // batch_size
    arrays = tuple(
        tf.TensorArray(dtype, size=batches, infer_shape=False, element_shape=shape) for dtype, shape in signature
    )
    for number in tf.range(batches):
        results = call(x[number * batch_size : (number + 1) * batch_size])
        arrays = tuple(array.write(number, result) for array, result in zip(arrays, results, strict=True))
    return tuple(array.concat() for array in arrays)

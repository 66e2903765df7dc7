"""The form of out-of-distribution inputs: unlabelled `tf.data` pipelines, built inside the graph."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

OodFn = Callable[[], tf.data.Dataset]
"""A no-argument function; called inside a graph, it returns batches (batch, *input_shape) of float32 inputs."""


def drawn_inputs(draw: Callable[[tf.Tensor], tf.Tensor], per_draw: int, num_examples: int, batch_size: int) -> OodFn:
    """Returns a pipeline of inputs that are drawn, so many at a time.

    Args:
        draw: Number of the draw, an int64 scalar -> inputs (per_draw, *input_shape).
        per_draw: Inputs of one draw.
        num_examples: Inputs of the pipeline; what the last draw has too many is dropped.
        batch_size: Inputs per batch; the last batch may be smaller.

    Examples:
        >>> import tensorflow as tf
        >>> ood_fn = drawn_inputs(lambda number: tf.fill([4, 1], float(0)), 4, num_examples=7, batch_size=3)
        >>> [len(batch) for batch in ood_fn()]
        [3, 3, 1]
    """

    def some(number: tf.Tensor) -> tf.Tensor:
        return draw(number)[: num_examples - number * per_draw]

    def build() -> tf.data.Dataset:
        return tf.data.Dataset.range(-(-num_examples // per_draw)).map(some).rebatch(batch_size)

    return build

"""Out-of-distribution inputs for what is neither image nor audio: noise of any shape."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from tfc.base.errors import DataError
from tfc.data.ood_pipeline import OodFn, drawn_inputs
from tfc.seeds import Purpose, stateless

_BATCH_OF_GENERATOR = 100


def procedural_noise(num_examples: int, batch_size: int, input_shape: tuple[int, ...], seed: int) -> OodFn:
    """Returns a pipeline of standard normal inputs: for tables and sequences that are standardised.

    Args:
        num_examples: Inputs per epoch; the same ones in every epoch.
        batch_size: Inputs per batch; the last batch may be smaller.
        input_shape: Shape of one input, with any number of axes.
        seed: Seed of the run.
    """

    def draw(number: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_normal([_BATCH_OF_GENERATOR, *input_shape], stateless(seed, Purpose.OOD, number))

    return drawn_inputs(draw, _BATCH_OF_GENERATOR, num_examples, batch_size)


def procedural_tokens(
    num_examples: int, batch_size: int, input_shape: tuple[int, ...], seed: int, num_tokens: int
) -> OodFn:
    """Returns a pipeline of tokens, each as likely as any other.

    Args:
        num_examples: Inputs per epoch; the same ones in every epoch.
        batch_size: Inputs per batch; the last batch may be smaller.
        input_shape: Steps.
        seed: Seed of the run.
        num_tokens: Number of different tokens, from 0; the server knows it as the range of the model's inputs.

    Returns:
        A function whose batches are whole float32 numbers, as models take tokens.
    """

    def draw(number: tf.Tensor) -> tf.Tensor:
        tokens = tf.random.stateless_uniform(
            [_BATCH_OF_GENERATOR, *input_shape], stateless(seed, Purpose.OOD, number), 0, num_tokens, tf.int32
        )
        return tf.cast(tokens, tf.float32)

    return drawn_inputs(draw, _BATCH_OF_GENERATOR, num_examples, batch_size)


def no_files(folder: Path, num_examples: int, batch_size: int, input_shape: tuple[int, ...]) -> OodFn:
    """Refuses a folder.

    Args:
        folder: `server.ood_dir`.
        num_examples: Unused.
        batch_size: Unused.
        input_shape: Unused.

    Raises:
        DataError: Always.
    """
    raise DataError(f"server.ood_dir={folder} is for images and audio: noise is drawn; leave it empty")

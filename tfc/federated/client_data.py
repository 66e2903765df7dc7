"""A client's data for one round: its examples, and a context that makes its randomness a function of the round."""

from __future__ import annotations

import collections
import enum
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tfc.data.partition import ClientExamples

NO_LIMIT = 2**31 - 1
"""Stands for no limit where bytes are int32."""


class ClientFlags(enum.IntFlag):
    """A client's fault flags in one round.

    Examples:
        >>> import tfc
        >>> flags = tfc.ClientFlags.DROPOUT | tfc.ClientFlags.CORRUPT
        >>> tfc.ClientFlags.DROPOUT in flags
        True
    """

    NONE = 0
    DROPOUT = 1
    """The client drops out of this round: it trains, but its answer does not arrive."""
    CORRUPT = 2
    """A byte of the client's answer changes on its way."""


class ClientContext(NamedTuple):
    """Who takes part in which round.

    Attributes:
        client: int32 scalar, number of the client.
        round: int32 scalar, number of the round, from 1.
        flags: int32 scalar, `ClientFlags`.
        scale: float32 scalar, what the change that the client learned is multiplied by; 1 for an honest one.
        most_bytes: int32 scalar, length of the longest answer that arrives in time.
    """

    client: Any
    round: Any
    flags: Any
    scale: Any
    most_bytes: Any


def _context_element(
    client: Any, round_: Any, flags: Any, scale: Any, most_bytes: Any
) -> collections.OrderedDict[str, Any]:
    # TFF hands elements of sequences to the worker with their fields in alphabetical order: names survive it, the
    # positions of a NamedTuple don't.
    return collections.OrderedDict(client=client, flags=flags, most_bytes=most_bytes, round=round_, scale=scale)


def client_data_type(input_shape: tuple[int, ...], input_dtype: Any) -> tff.Type:
    """Returns the type of one client's data: a structure of sequences.

    `<train={<x=dtype[?,...],y=int32[?]>}*, validation={<x,y>}*, context={<client,flags,...>}*>`: examples come in
    batches of any size, the context as a sequence of one.

    Args:
        input_shape: Shape of one input.
        input_dtype: uint8 or float32.

    Examples:
        >>> import tfc
        >>> import numpy as np
        >>> data_type = tfc.client_data_type((28, 28, 1), np.uint8)
        >>> str(data_type.train.element)
        '<x=uint8[?,28,28,1],y=int32[?]>'
    """
    examples = tff.SequenceType(
        collections.OrderedDict(
            x=tff.TensorType(input_dtype, (None, *input_shape)), y=tff.TensorType(np.int32, (None,))
        )
    )
    scalar = tff.TensorType(np.int32)
    context = tff.SequenceType(
        tff.to_type(_context_element(scalar, scalar, scalar, tff.TensorType(np.float32), scalar))
    )
    return tff.to_type(collections.OrderedDict(train=examples, validation=examples, context=context))


def client_data(
    examples: ClientExamples,
    client: int,
    round_number: int,
    flags: ClientFlags = ClientFlags.NONE,
    *,
    scale: float = 1.0,
    most_bytes: int = NO_LIMIT,
) -> collections.OrderedDict[str, list[Any]]:
    """Returns one client's data for one round, of `client_data_type`.

    Args:
        examples: What the client holds.
        client: Number of the client.
        round_number: Number of the round, from 1.
        flags: What else is said of the client.
        scale: What the change that it learns is multiplied by.
        most_bytes: Length of the longest answer that arrives in time.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> x, y = np.zeros((40, 28, 28, 1), np.uint8), np.zeros(40, np.int32)
        >>> examples = tfc.ClientExamples(x[:36], y[:36], x[36:], y[36:])
        >>> data = tfc.client_data(examples, client=0, round_number=1)
        >>> list(data)
        ['train', 'validation', 'context']
    """
    train = collections.OrderedDict(x=examples.x_train, y=examples.y_train)
    validation = collections.OrderedDict(x=examples.x_validation, y=examples.y_validation)
    context = _context_element(
        np.int32(client), np.int32(round_number), np.int32(flags), np.float32(scale), np.int32(most_bytes)
    )
    return collections.OrderedDict(train=[train], validation=[validation], context=[context])


def gather_examples(batches: tf.data.Dataset) -> tuple[tf.Tensor, tf.Tensor]:
    """Joins a sequence of batches into one tensor of inputs and one of classes.

    Args:
        batches: Elements with x (batch, ...) and y (batch,); may be empty.
    """
    spec = batches.element_spec
    empty = (tf.zeros((0, *spec["x"].shape[1:]), spec["x"].dtype), tf.zeros((0,), spec["y"].dtype))
    return batches.reduce(
        empty, lambda all_, new: (tf.concat([all_[0], new["x"]], 0), tf.concat([all_[1], new["y"]], 0))
    )


def first_context(contexts: tf.data.Dataset) -> ClientContext:
    """Returns the context of a client; an honest one's with zeros where the sequence is empty.

    Args:
        contexts: A sequence of one `ClientContext`.
    """
    zero = tf.constant(0)
    start = ClientContext(zero, zero, zero, tf.constant(1.0), tf.constant(NO_LIMIT))
    return contexts.reduce(start, lambda _, new: ClientContext(**new))

"""Client faults: what becomes of a client's answer on its way to the server."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import tensorflow as tf

from tfc.federated.client_data import ClientContext, ClientFlags
from tfc.federated.local_training import SelfTest
from tfc.seeds import Purpose, hashed

FAULT_KINDS = ("dropped", "not_finite", "late")
"""Why a client's answer does not arrive, in the order in which they are looked for."""


class Arrival(NamedTuple):
    """Arrival of a client's answer.

    Attributes:
        sent: bool scalar, whether it reaches the server, valid or corrupted.
        accepted: bool scalar, whether it also reaches it undamaged.
        by_fault: int32 (3,), a one at the fault of `FAULT_KINDS` that keeps it from arriving.
    """

    sent: tf.Tensor
    accepted: tf.Tensor
    by_fault: tf.Tensor


def _flagged(context: ClientContext, flag: ClientFlags) -> tf.Tensor:
    return tf.not_equal(tf.bitwise.bitwise_and(context.flags, int(flag)), 0)


@tf.autograph.experimental.do_not_convert
def arrival(
    context: ClientContext, num_examples: tf.Tensor, understood: tf.Tensor, finite: tf.Tensor, answer_bytes: Any
) -> Arrival:
    """Decides what becomes of a client's answer.

    A client without examples, or one that can't decode the broadcast, sends no answer: it counts as dropped.

    Args:
        context: Says whether it drops out, and how long its answer may be.
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


@tf.autograph.experimental.do_not_convert
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


@tf.autograph.experimental.do_not_convert
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

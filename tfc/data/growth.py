"""Clients whose data grow: they start with a share of their training examples and receive the rest round by round."""

from __future__ import annotations

import dataclasses

from tfc.data.partition import ClientExamples


def share_of_round(round_number: int, start: float, rounds: int) -> float:
    """Returns the share of its training examples that a client has in a round, over 0 to 1.

    Args:
        round_number: From 1.
        start: Share in round 1.
        rounds: First round with all of them; the share rises by equal steps until then.
    """
    if start >= 1 or round_number >= rounds:
        return 1.0
    return start + (1 - start) * (round_number - 1) / (rounds - 1)


def examples_in_round(examples: ClientExamples, round_number: int, start: float, rounds: int) -> ClientExamples:
    """Returns what a client has so far; nothing that it had goes away again.

    Its validation examples are the same in every round, so that accuracies of different rounds can be compared.

    Args:
        examples: All that the client will get, in random order.
        round_number: From 1.
        start: Share of the training examples in round 1, over 0 to 1.
        rounds: First round with all of them.
    """
    share = share_of_round(round_number, start, rounds)
    if share >= 1:
        return examples
    count = max(1, round(share * len(examples.y_train)))
    return dataclasses.replace(examples, x_train=examples.x_train[:count], y_train=examples.y_train[:count])

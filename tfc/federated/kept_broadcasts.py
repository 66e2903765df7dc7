"""Old broadcasts that the server keeps, to bring clients that missed rounds up to date by one message. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfc.codec import message
from tfc.codec.message_spec import Message, MessageSpec, ReferenceModel
from tfc.codec.palette import Palette


def as_arrays(model: Any) -> ReferenceModel:
    """Returns a broadcast model as NumPy arrays, whatever structure TFF handed it on in.

    Args:
        model: `tfc.federated.model_spec.Broadcast.model`, of a broadcast with clustered kernels.
    """
    palettes = tuple(Palette(np.asarray(codebook), np.asarray(indices)) for codebook, indices in model[1])
    return ReferenceModel(np.int32(model[0]), palettes, *(tuple(map(np.asarray, part)) for part in model[2:]))


@dataclass
class KeptBroadcasts:
    """The broadcast models of the last rounds, and catch-up messages that are coded given them.

    A client that takes part again after `k` rounds needs what changed since then once, and not `k` times: a weight that
    moved to and fro in between costs nothing. The receiver ends with the broadcast model bit for bit.

    Attributes:
        spec: What the server may send; its kinds name catch-up messages.
        most: Number of rounds whose models are kept.
        models: Models by round.
    """

    spec: MessageSpec
    most: int
    models: dict[int, ReferenceModel] = field(default_factory=dict)
    _now: int = 0
    _scalars: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    _messages: dict[int, bytes] = field(default_factory=dict)

    def add(self, round_number: int, model: ReferenceModel, scalars: np.ndarray) -> None:
        """Adds a round's broadcast: catch-up messages lead to it from now on.

        Args:
            round_number: From 1.
            model: What the broadcast says, as arrays.
            scalars: float32 (num_scalars,), what is sent beside it.
        """
        self._now, self._scalars, self._messages = round_number, np.asarray(scalars, np.float32), {}
        self.models[round_number] = model

    def keep(self, held: Mapping[int, int]) -> dict[int, ReferenceModel]:
        """Forgets the models that no client holds, and of the others all but the newest `most`.

        Args:
            held: By client, the round whose broadcast it holds.

        Returns:
            The models that are left, by round.
        """
        wanted = sorted({number for number in held.values() if number in self.models}, reverse=True)[: self.most]
        self.models = {number: self.models[number] for number in reversed(wanted)}
        return self.models

    def message(self, since: int) -> bytes:
        """Returns the catch-up message for clients that hold the broadcast of a round; empty where it is not kept.

        Args:
            since: Number of that round.
        """
        if since not in self.models or since >= self._now:
            return b""
        if since not in self._messages:
            model = self.models[self._now]
            told = Message(model.num_clusters, model.palettes, model.others, self._scalars)
            self._messages[since] = message.encode(told, self.spec, self.models[since], catch_up=True)
        return self._messages[since]

"""Plays a recorded run again from its payloads alone: clients and server in NumPy, independent of TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfc.base.errors import RunError
from tfc.base.run_files import PAYLOADS
from tfc.codec import message
from tfc.codec.message_spec import Decoded, Kind, MessageSpec, ReferenceModel
from tfc.codec.palette import dequantize
from tfc.codec.spec_file import from_json
from tfc.replay.files import RoundPayloads, broadcast_digest, digest, read_round, rounds_in


@dataclass(frozen=True)
class ReplayedRound:
    """What playing a round again found.

    Attributes:
        round: Its number.
        downlink_bytes: Bytes of all messages to clients.
        uplink_bytes: Bytes of all answers.
        broadcast_equal: Whether every client arrived at the server's model, bit for bit.
        mean_equal: Whether the answers amount to the server's mean, bit for bit.
        deflated_bytes: What the same models would take as deflated files of float32 weights, both ways; 0 where that
            was not asked for.
    """

    round: int
    downlink_bytes: int
    uplink_bytes: int
    broadcast_equal: bool
    mean_equal: bool
    deflated_bytes: int


def _weights(model: ReferenceModel) -> list[np.ndarray]:
    return [*(dequantize(palette) for palette in model.palettes), *model.others]


def _answer_weights(answer: Decoded, reference: ReferenceModel, spec: MessageSpec) -> list[np.ndarray]:
    kernels = [dequantize(palette) for palette in answer.message.palettes]
    if Kind.UPDATE in spec.kinds:
        kernels = [dequantize(before) + change for before, change in zip(reference.palettes, kernels, strict=True)]
    return [*kernels, *answer.message.others]


def _mean(models: list[list[np.ndarray]], examples: list[np.float32]) -> list[np.ndarray]:
    """The mean as the server takes it: float32 sums in the order of the answers, then one division."""
    weight = np.float32(0)
    sums = [np.zeros_like(array) for array in models[0]] if models else []
    for model, share in zip(models, examples, strict=True):
        sums = [total + share * array for total, array in zip(sums, model, strict=True)]
        weight += share
    return [total / weight for total in sums]


def _deflated(weights: list[np.ndarray]) -> int:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, *weights)
    return buffer.getbuffer().nbytes


class _Replay:
    """Clients and server of a recorded run, which see its payloads and nothing else.

    Attributes:
        broadcast: The model that clients were sent in the latest round; None where nobody was sent one.
    """

    def __init__(self, downlink: MessageSpec, uplink: MessageSpec, *, deflate: bool) -> None:
        self._downlink, self._uplink, self._deflate = downlink, uplink, deflate
        self._clients: dict[int, ReferenceModel] = {}
        self.broadcast: ReferenceModel | None = None

    def play(self, payloads: RoundPayloads) -> ReplayedRound:
        received = [self._receive(client, messages) for client, messages in payloads.down.items()]
        self.broadcast = received[-1] if received else None
        answers = [self._decode_answer(client, payload) for client, payload in payloads.up.items()]
        models = [weights for weights, _ in answers]
        deflated = 0
        if self._deflate:
            # Every client gets the same model.
            sent = len(received) * _deflated(_weights(received[-1])) if received else 0
            deflated = sent + sum(map(_deflated, models))
        return ReplayedRound(
            payloads.round,
            sum(len(payload) for messages in payloads.down.values() for payload in messages),
            sum(map(len, payloads.up.values())),
            all(broadcast_digest(model.palettes, model.others) == payloads.broadcast for model in received),
            not models or digest(_mean(models, [examples for _, examples in answers])) == payloads.mean,
            deflated,
        )

    def _receive(self, client: int, messages: Sequence[bytes]) -> ReferenceModel:
        """Decodes what a client was sent, each message given the one before; returns the model that it then has."""
        for payload in messages:
            self._clients[client] = message.decode(payload, self._downlink, self._clients.get(client)).held
        return self._clients[client]

    def _decode_answer(self, client: int, payload: bytes) -> tuple[list[np.ndarray], np.float32]:
        """Decodes a client's answer; returns its weights and its number of examples."""
        reference = self._clients[client]
        # FedAvg's answers stand alone, and so do palettes that answer a float32 broadcast.
        alone = not self._uplink.kernel_shapes or Kind.KEY_FRAME in self._uplink.kinds
        answer = message.decode(payload, self._uplink, None if alone else reference)
        return _answer_weights(answer, reference, self._uplink), np.float32(answer.message.scalars[0])


def _specifications(run: Path) -> tuple[MessageSpec, MessageSpec]:
    folder = run / PAYLOADS
    if not rounds_in(folder):
        raise RunError(f"{run}: no recorded payloads; make them with: tfc run ... --record-payloads")
    try:
        return from_json((folder / "spec.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / 'spec.json'}: {error}") from error


def _played(run: Path, player: _Replay, place: Path) -> ReplayedRound:
    try:
        return player.play(read_round(place))
    except KeyError as error:
        raise RunError(f"{place}: client {error} answered, but was never sent a model") from error
    except (OSError, ValueError, TypeError, IndexError, MemoryError) as error:
        raise RunError(f"{place}: {error}") from error


def replay(run: Path, *, deflate: bool = False) -> list[ReplayedRound]:
    """Plays a recorded run again.

    Args:
        run: The run's folder, recorded with `--record-payloads`.
        deflate: Whether to measure deflated files of float32 weights, too (how the paper counts).

    Returns:
        What each round amounted to.

    Raises:
        RunError: If the run has no payloads, or one of them is damaged.
    """
    player = _Replay(*_specifications(run), deflate=deflate)
    return [_played(run, player, place) for place in rounds_in(run / PAYLOADS)]


def broadcast_model(run: Path, round_number: int) -> ReferenceModel:
    """Returns the model that clients were sent in a round: the one that the round before ended with.

    Args:
        run: The run's folder, recorded with `--record-payloads`.
        round_number: From 1.

    Raises:
        RunError: If the run has no payloads, one of them is damaged, or there is no such round.
    """
    player = _Replay(*_specifications(run), deflate=False)
    places = rounds_in(run / PAYLOADS)
    if not 1 <= round_number <= len(places):
        raise RunError(f"{run}: has rounds 1 to {len(places)}; found {round_number}")
    for place in places[:round_number]:
        _played(run, player, place)
    if player.broadcast is None:
        raise RunError(f"{run}: nobody was sent a model in round {round_number}")
    return player.broadcast

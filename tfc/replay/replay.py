"""Plays a recorded run again from its payloads alone: clients and server in NumPy, independent of TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfc.base.errors import RunError
from tfc.base.regular_file import read_regular, reading
from tfc.base.run_files import PAYLOADS
from tfc.codec import message
from tfc.codec.frequency_bands import change_of, scaled
from tfc.codec.message_spec import Decoded, Kind, MessageSpec, ReferenceModel, float32_message_bytes
from tfc.codec.palette import dequantize
from tfc.codec.spec_file import from_json
from tfc.replay.expectation import ExpectedRound, expected_rounds, require_complete
from tfc.replay.files import FINAL, SPEC, RoundPayloads, broadcast_digest, digest, read_round, round_folder


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
        parts = zip(reference.palettes, kernels, answer.message.band_scales, strict=True)
        kernels = [dequantize(before) + change_of(scaled(values, scales)) for before, values, scales in parts]
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
        if not messages:
            raise ValueError(f"client {client} was sent nothing")
        for payload in messages:
            self._clients[client] = message.decode(payload, self._downlink, self._clients.get(client)).held
        return self._clients[client]

    def _decode_answer(self, client: int, payload: bytes) -> tuple[list[np.ndarray], np.float32]:
        """Decodes a client's answer; returns its weights and its number of examples."""
        if client not in self._clients:
            raise ValueError(f"client {client} answered, but was never sent a model")
        reference = self._clients[client]
        # FedAvg's answers stand alone, and so do palettes that answer a float32 broadcast.
        alone = not self._uplink.kernel_shapes or Kind.KEY_FRAME in self._uplink.kinds
        answer = message.decode(payload, self._uplink, None if alone else reference)
        return _answer_weights(answer, reference, self._uplink), np.float32(answer.message.scalars[0])


def _specifications(run: Path) -> tuple[MessageSpec, MessageSpec]:
    path = run / PAYLOADS / SPEC
    with reading(path, RunError, "the form of a run's messages"):
        return from_json(read_regular(path))


def _most_bytes(spec: MessageSpec) -> int:
    """Bytes of the longest message: of no kind is it longer than twice float32, and a little for tiny models."""
    sizes = (*spec.kernel_sizes, *spec.other_sizes)
    return max(spec.most_bytes, 2 * float32_message_bytes(sum(sizes), spec.num_scalars) + 4096)


class RecordedRun:
    """A recorded run, played round by round in the order of its configuration.

    Attributes:
        rounds: What every round must hold.
    """

    def __init__(self, run: Path, *, deflate: bool = False) -> None:
        """Reads what the run must hold, and refuses a folder that holds something else.

        Args:
            run: The run's folder.
            deflate: Whether to measure deflated files of float32 weights, too.

        Raises:
            RunError: If rounds are missing or left over, or a file can't be read.
        """
        if not (run / PAYLOADS).is_dir():
            raise RunError(f"{run}: no recorded payloads; make them with: tfc run ... --record-payloads")
        self._run = run
        self.rounds = expected_rounds(run)
        require_complete(run, len(self.rounds))
        self._downlink, uplink = _specifications(run)
        self._most = _most_bytes(self._downlink), _most_bytes(uplink)
        self._player = _Replay(self._downlink, uplink, deflate=deflate)

    def payloads(self, expected: ExpectedRound) -> RoundPayloads:
        """Reads the payloads of a round.

        Args:
            expected: One of `rounds`.

        Raises:
            RunError: If one is damaged, or the round is not what was expected.
        """
        folder = self._run / PAYLOADS
        found = read_round(folder, expected.round, *self._most)
        differences = expected.differences(found)
        if differences:
            raise RunError(f"{folder / round_folder(expected.round)}: {'; '.join(differences)}")
        return found

    def play(self, expected: ExpectedRound) -> ReplayedRound:
        """Plays the next round.

        Args:
            expected: The next one of `rounds`.

        Raises:
            RunError: If a payload is damaged, or the round is not what was expected.
        """
        payloads = self.payloads(expected)
        place = self._run / PAYLOADS / round_folder(expected.round)
        with reading(place, RunError, "a round that can be played"):
            return self._player.play(payloads)

    @property
    def broadcast(self) -> ReferenceModel | None:
        """The model that clients were sent in the latest round; None where nobody was sent one."""
        return self._player.broadcast

    def final(self) -> ReferenceModel | None:
        """Returns the final model, after all rounds; None where an older version recorded the run without it.

        Raises:
            RunError: If its payload is damaged.
        """
        path = self._run / PAYLOADS / FINAL
        if not path.exists():
            return None
        with reading(path, RunError, "the payload of the final model"):
            return message.decode(read_regular(path, self._most[0]), self._downlink, self.broadcast).held


def replay(run: Path, *, deflate: bool = False) -> list[ReplayedRound]:
    """Plays a recorded run again: every round of its configuration, every client of its metrics.

    Args:
        run: The run's folder, recorded with `--record-payloads`.
        deflate: Whether to measure deflated files of float32 weights, too (how the paper counts).

    Returns:
        What each round amounted to.

    Raises:
        RunError: If the run has no payloads, or one of them is damaged, missing, or left over.
    """
    recorded = RecordedRun(run, deflate=deflate)
    return [recorded.play(expected) for expected in recorded.rounds]


def broadcast_model(run: Path, round_number: int) -> ReferenceModel:
    """Returns the model that clients were sent in a round: the one that the round before ended with.

    Args:
        run: The run's folder, recorded with `--record-payloads`.
        round_number: From 1.

    Raises:
        RunError: If the run has no payloads, one of them is damaged, or there is no such round.
    """
    recorded = RecordedRun(run)
    if not 1 <= round_number <= len(recorded.rounds):
        raise RunError(f"{run}: has rounds 1 to {len(recorded.rounds)}; found {round_number}")
    for expected in recorded.rounds[:round_number]:
        recorded.play(expected)
    if recorded.broadcast is None:
        raise RunError(f"{run}: nobody was sent a model in round {round_number}")
    return recorded.broadcast


def final_model(run: Path) -> ReferenceModel | None:
    """Returns the model that a recorded run ended with; None where an older version recorded it without.

    Args:
        run: The run's folder, recorded with `--record-payloads`.

    Raises:
        RunError: As `replay`.
    """
    recorded = RecordedRun(run)
    for expected in recorded.rounds:
        recorded.play(expected)
    return recorded.final()

"""A run's payloads as files: what crossed the boundary in each round, and digests of what it amounted to.

```
payloads/spec.json                     shapes, starts, limits: what both ends know beforehand
payloads/round-001/down-003-1.fc       what client 3 was sent, in order (more than one where it missed broadcasts)
payloads/round-001/up-003.fc           what client 3 answered
payloads/round-001/digests.json        SHA-256 of the broadcast model, of the clients' mean, and of each payload
payloads/final.fc                      what clients would be sent after the last round: the final model
```
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfc.base.atomic_write import atomic_write
from tfc.base.clean_text import clean
from tfc.base.errors import RunError
from tfc.base.regular_file import read_regular, reading
from tfc.base.schema import Check, listed, read_json, record, whole
from tfc.codec.message_spec import MessageSpec
from tfc.codec.palette import Palette
from tfc.codec.spec_file import to_json

SPEC, FINAL, _DIGESTS = "spec.json", "final.fc", "digests.json"
_ROUND = re.compile(r"round-([0-9]{3,9})")
_DOWN = re.compile(r"down-([0-9]{3,9})-([1-9][0-9]{0,5})\.fc")
_UP = re.compile(r"up-([0-9]{3,9})\.fc")
_MOST_CLIENTS = 10**9 - 1


def _sha256(value: Any, place: str) -> Any:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"{clean(place)} must be a SHA-256, 64 digits; found {clean(repr(value), 80)}")
    return value


def _payload_digests(value: Any, place: str) -> Any:
    return record({}, rest=_sha256)(value, place)


_DIGEST: Check = record(
    {"broadcast": _sha256, "mean": _sha256, "answers": listed(whole(0, _MOST_CLIENTS))}, {"payloads": _payload_digests}
)


@dataclass(frozen=True)
class RoundPayloads:
    """The payloads of one round.

    Attributes:
        round: Its number, from 1.
        down: What each client was sent, in order, by number of the client.
        up: What each client answered, in the order in which the server took the mean; clients that failed are missing.
        broadcast: Digest of the model that was broadcast.
        mean: Digest of the mean of the clients' models.
    """

    round: int
    down: Mapping[int, Sequence[bytes]]
    up: Mapping[int, bytes]
    broadcast: str
    mean: str


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Returns the SHA-256 of float32 arrays' bytes, little endian, one after the other.

    Args:
        arrays: Any shapes.
    """
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.asarray(array, "<f4").tobytes())
    return found.hexdigest()


def broadcast_digest(palettes: Iterable[Palette], others: Iterable[np.ndarray]) -> str:
    """Returns the digest of a broadcast model: its kernels, then all other parameters.

    Args:
        palettes: One per clustered kernel.
        others: All other parameters.
    """
    kernels = (np.asarray(palette.codebook, np.float32)[np.asarray(palette.indices)] for palette in palettes)
    return digest([*kernels, *others])


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_spec(folder: Path, downlink: MessageSpec, uplink: MessageSpec) -> None:
    """Writes what both ends know beforehand.

    Args:
        folder: The run's folder of payloads.
        downlink: Of broadcasts.
        uplink: Of clients' answers.
    """
    _write(folder / SPEC, to_json(downlink, uplink).encode())


def round_folder(number: int) -> str:
    """Returns the name of a round's folder.

    Args:
        number: Of the round, from 1.
    """
    return f"round-{number:03}"


def write_round(folder: Path, payloads: RoundPayloads) -> None:
    """Writes the payloads of a round; the digests come last and mark it as complete.

    Args:
        folder: The run's folder of payloads.
        payloads: The round.
    """
    place = folder / round_folder(payloads.round)
    contents = {
        f"down-{client:03}-{number}.fc": message
        for client, messages in payloads.down.items()
        for number, message in enumerate(messages, 1)
    }
    contents |= {f"up-{client:03}.fc": answer for client, answer in payloads.up.items()}
    for name, content in contents.items():
        _write(place / name, content)
    digests = {
        "broadcast": payloads.broadcast,
        "mean": payloads.mean,
        "answers": list(payloads.up),
        "payloads": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    _write(place / _DIGESTS, (json.dumps(digests, indent=1) + "\n").encode())


def write_final(folder: Path, payload: bytes) -> None:
    """Writes what clients would be sent after the last round.

    Args:
        folder: The run's folder of payloads.
        payload: Given the last round's broadcast.
    """
    _write(folder / FINAL, payload)


def drop_rounds_after(folder: Path, round_number: int) -> None:
    """Removes the payloads of rounds that a run will repeat.

    Args:
        folder: The run's folder of payloads.
        round_number: Last round that stays.
    """
    (folder / FINAL).unlink(missing_ok=True)
    for place in folder.glob("round-*"):
        found = _ROUND.fullmatch(place.name)
        if found and int(found[1]) > round_number:
            shutil.rmtree(place)


def read_round(folder: Path, number: int, most_down: int, most_up: int) -> RoundPayloads:
    """Reads the payloads of a round; takes nothing from the folder that its digests do not name.

    Args:
        folder: The run's folder of payloads.
        number: Of the round, from 1.
        most_down: Bytes of the longest message to a client.
        most_up: Bytes of the longest answer.

    Raises:
        RunError: If a file is missing, left over, damaged, no regular file, or longer than any message may be.
    """
    place = folder / round_folder(number)
    what = "the payloads of a round"
    digests = read_json(place / _DIGESTS, _DIGEST, RunError, "the digests of a round")
    with reading(place, RunError, what):
        names = {entry.name for entry in place.iterdir()} - {_DIGESTS}
        down, up = _named(names)
        answers = digests["answers"]
        if len(set(answers)) != len(answers):
            raise ValueError(f"{_DIGESTS} names an answer twice")
        if set(answers) != set(up):
            raise ValueError(f"answers of clients {sorted(up)}, but {sorted(answers)} in {_DIGESTS}")
        received = {client: [_payload(place / name, most_down) for name in names] for client, names in down.items()}
        sent = {client: _payload(place / up[client], most_up) for client in answers}
        _check_payloads(place, names, digests.get("payloads"))
        return RoundPayloads(number, received, sent, digests["broadcast"], digests["mean"])


def _named(names: set[str]) -> tuple[dict[int, list[str]], dict[int, str]]:
    """Files by client: messages to it in order, and its answer."""
    down: dict[int, dict[int, str]] = {}
    up: dict[int, str] = {}
    for name in names:
        to_client, from_client = _DOWN.fullmatch(name), _UP.fullmatch(name)
        if to_client and name == f"down-{int(to_client[1]):03}-{to_client[2]}.fc":
            down.setdefault(int(to_client[1]), {})[int(to_client[2])] = name
        elif from_client and name == f"up-{int(from_client[1]):03}.fc":
            up[int(from_client[1])] = name
        else:
            raise ValueError(f"{clean(name, 80)} is no payload of a round")
    for client, messages in down.items():
        if sorted(messages) != list(range(1, len(messages) + 1)):
            raise ValueError(f"messages to client {client} are {sorted(messages)}; they must be 1, 2, 3 and so on")
    return {client: [down[client][number] for number in sorted(down[client])] for client in sorted(down)}, up


def _payload(path: Path, most: int) -> bytes:
    with reading(path, RunError, "a payload"):
        return read_regular(path, most)


def _check_payloads(place: Path, names: set[str], digests: dict[str, str] | None) -> None:
    if digests is None:  # a run of an older version
        return
    different = set(digests) ^ names
    if different:
        raise ValueError(f"{_DIGESTS} and the folder differ in {clean(', '.join(sorted(different)), 200)}")
    for name in sorted(names):
        if hashlib.sha256((place / name).read_bytes()).hexdigest() != digests[name]:
            raise ValueError(f"{name} is not what was recorded: its digest differs")

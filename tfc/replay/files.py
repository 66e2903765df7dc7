"""A run's payloads as files: what crossed the boundary in each round, and digests of what it amounted to.

```
payloads/spec.json                     shapes, starts, limits: what both ends know beforehand
payloads/round-001/down-003-1.fc       what client 3 was sent, in order (more than one where it missed broadcasts)
payloads/round-001/up-003.fc           what client 3 answered
payloads/round-001/digests.json        SHA-256 of the broadcast model and of the clients' mean
```
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfc.base.atomic_write import atomic_write
from tfc.codec.message_spec import MessageSpec
from tfc.codec.palette import Palette
from tfc.codec.spec_file import to_json


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
    _write(folder / "spec.json", to_json(downlink, uplink).encode())


def write_round(folder: Path, payloads: RoundPayloads) -> None:
    """Writes the payloads of a round; the digests come last and mark it as complete.

    Args:
        folder: The run's folder of payloads.
        payloads: The round.
    """
    place = folder / f"round-{payloads.round:03}"
    for client, messages in payloads.down.items():
        for number, message in enumerate(messages, 1):
            _write(place / f"down-{client:03}-{number}.fc", message)
    for client, answer in payloads.up.items():
        _write(place / f"up-{client:03}.fc", answer)
    digests = {"broadcast": payloads.broadcast, "mean": payloads.mean, "answers": list(payloads.up)}
    _write(place / "digests.json", (json.dumps(digests, indent=1) + "\n").encode())


def rounds_in(folder: Path) -> list[Path]:
    """Returns the folders of the complete rounds, in order.

    Args:
        folder: The run's folder of payloads.
    """
    complete = [path for path in folder.glob("round-*") if (path / "digests.json").is_file()]
    return sorted(complete, key=lambda path: int(path.name.split("-")[1]))


def drop_rounds_after(folder: Path, round_number: int) -> None:
    """Removes the payloads of rounds that a run will repeat.

    Args:
        folder: The run's folder of payloads.
        round_number: Last round that stays.
    """
    for place in folder.glob("round-*"):
        if int(place.name.split("-")[1]) > round_number:
            shutil.rmtree(place)


def read_round(place: Path) -> RoundPayloads:
    """Reads the payloads of a round.

    Args:
        place: Its folder.

    Raises:
        OSError: If a file can't be read.
        ValueError: If the digests are damaged.
    """
    digests = json.loads((place / "digests.json").read_text(encoding="utf-8"))
    down: dict[int, list[bytes]] = {}
    for path in sorted(place.glob("down-*.fc"), key=lambda path: [int(part) for part in path.stem.split("-")[1:]]):
        down.setdefault(int(path.stem.split("-")[1]), []).append(path.read_bytes())
    up = {int(client): (place / f"up-{client:03}.fc").read_bytes() for client in digests["answers"]}
    return RoundPayloads(int(place.name.split("-")[1]), down, up, digests["broadcast"], digests["mean"])

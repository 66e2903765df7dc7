"""Checkpoints of a run: everything that its next round depends on, one file per round.

```
checkpoints/round-7      8 bytes "tfc-ckp2", SHA-256 of the rest, an NPZ archive:
                         about          JSON: round, elapsed seconds, rows of metrics.csv, the tracker
                         state-00000... the leaves of TFF's server state, in `tf.nest`'s order
                         broadcast-N    payloads of earlier rounds that a recorder may still need
                         kept-N-000...  the leaves of an old broadcast's model, which a catch-up message may need
```
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfc.base.atomic_write import atomic_write
from tfc.codec.message_spec import ReferenceModel
from tfc.codec.palette import Palette
from tfc.federated.broadcast_tracker import BroadcastTracker
from tfc.simulation.folder import RoundMetrics

_MAGIC = b"tfc-ckp2"
_KEPT = 2
"""Number of checkpoints kept: if the newest is damaged, the one before is used."""


@dataclass(frozen=True)
class Checkpoint:
    """A run after one of its rounds, or before the first.

    Attributes:
        round: Number of the round, from 1; 0 before the first, of which no file is written.
        state: State of the learning process: model, finalizer, clients' memories.
        tracker: Who holds which broadcast.
        rows: Rows of metrics.csv so far, the round's own the last.
        seconds: Wall time of the run so far.
        broadcasts: Broadcasts of earlier rounds that a recorder of payloads still needs, by round.
        kept: Models of earlier broadcasts that the server keeps for catch-up messages, by round.
    """

    round: int
    state: Any
    tracker: BroadcastTracker
    rows: tuple[RoundMetrics, ...] = ()
    seconds: float = 0.0
    broadcasts: Mapping[int, bytes] = field(default_factory=dict)
    kept: Mapping[int, ReferenceModel] = field(default_factory=dict)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint atomically and durably, and removes all older ones but the previous.

    Args:
        folder: The run's folder of checkpoints.
        checkpoint: The run after a round.

    Raises:
        OSError: If it can't be written; older ones are kept.
    """
    about = {
        "round": checkpoint.round,
        "seconds": checkpoint.seconds,
        "rows": [dataclasses.asdict(row) for row in checkpoint.rows],
        "payload_bytes": checkpoint.tracker.payload_bytes,
        "last_held": list(checkpoint.tracker.last_held.items()),
    }
    arrays = {f"state-{place:05}": np.asarray(leaf) for place, leaf in enumerate(tf.nest.flatten(checkpoint.state))}
    for number, payload in checkpoint.broadcasts.items():
        arrays[f"broadcast-{number}"] = np.frombuffer(payload, np.uint8)
    for number, model in checkpoint.kept.items():
        arrays |= {f"kept-{number}-{place:05}": np.asarray(leaf) for place, leaf in enumerate(_leaves(model))}
        about["kept_kernels"] = len(model.palettes)
    content = io.BytesIO()
    np.savez(content, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    with atomic_write(folder / f"round-{checkpoint.round}", durable=True) as temporary, temporary.open("wb") as file:
        file.write(_MAGIC + hashlib.sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())
    for path in _newest_first(folder)[_KEPT:]:
        path.unlink()


def _leaves(model: ReferenceModel) -> list[Any]:
    palettes = [part for palette in model.palettes for part in palette]
    return [model.num_clusters, *palettes, *model.moves, *model.others]


def _kept(arrays: Mapping[str, np.ndarray], kernels: int) -> dict[int, ReferenceModel]:
    """The models that `_leaves` took apart: number of clusters, palettes, moves, others."""
    names = sorted(name for name in arrays if name.startswith("kept-"))
    found: dict[int, list[np.ndarray]] = {}
    for name in names:
        found.setdefault(int(name.split("-")[1]), []).append(arrays[name])
    models = {}
    for number, (clusters, *leaves) in found.items():
        palettes = tuple(Palette(*leaves[2 * each : 2 * each + 2]) for each in range(kernels))
        rest = leaves[2 * kernels :]
        models[number] = ReferenceModel(clusters[()], palettes, tuple(rest[:kernels]), tuple(rest[kernels:]))
    return models


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("round-*") if path.name.removeprefix("round-").isdecimal()]
    return sorted(found, key=lambda path: -int(path.name.removeprefix("round-")))


def _read(path: Path, like: Any) -> Checkpoint:
    """Reads a checkpoint; raises ValueError, and says why, where it is damaged."""
    content = path.read_bytes()
    start = len(_MAGIC) + hashlib.sha256().digest_size
    if content[: len(_MAGIC)] != _MAGIC or len(content) < start:
        raise ValueError("no checkpoint of this version")
    if hashlib.sha256(content[start:]).digest() != content[len(_MAGIC) : start]:
        raise ValueError("its checksum is wrong")
    try:
        with np.load(io.BytesIO(content[start:]), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays["about"].tobytes())
        leaves = [arrays[name] for name in sorted(arrays) if name.startswith("state-")]
        known = [np.asarray(leaf) for leaf in tf.nest.flatten(like)]
        if [(leaf.dtype, leaf.ndim) for leaf in leaves] != [(leaf.dtype, leaf.ndim) for leaf in known]:
            raise ValueError("its state belongs to another method or another version")
        return Checkpoint(
            about["round"],
            # Scalars are returned as NumPy scalars, as TFF returns them.
            tf.nest.pack_sequence_as(like, [leaf[()] for leaf in leaves]),
            BroadcastTracker(about["payload_bytes"], {int(client): held for client, held in about["last_held"]}),
            tuple(RoundMetrics(**row) for row in about["rows"]),
            about["seconds"],
            {int(n.removeprefix("broadcast-")): a.tobytes() for n, a in arrays.items() if n.startswith("broadcast-")},
            _kept(arrays, about.get("kept_kernels", 0)),
        )
    except (KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"it is of another version: {error}") from error


def latest_checkpoint(folder: Path, like: Any, warn: Callable[[str], None]) -> Checkpoint | None:
    """Reads the newest checkpoint that is not damaged.

    Args:
        folder: The run's folder of checkpoints.
        like: A state of the same learning process: its structure and its dtypes.
        warn: Called with one line for each skipped file: its path and the reason.

    Returns:
        None where there is none.
    """
    for path in _newest_first(folder):
        try:
            return _read(path, like)
        except (ValueError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            warn(f"warning: {path}: skipped: {reason}")
    return None

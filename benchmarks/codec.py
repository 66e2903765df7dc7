"""Size and speed of the message format on messages recorded from real runs.

    tfc run fashion-resnet8 --record-payloads --out runs/recorded-resnet8
    tfc run fashion-resnet20 --record-payloads --out runs/recorded-resnet20
    tfc run fashion-resnet8 --set model.name=mobilenet --set rounds=3 --record-payloads --out runs/recorded-mobilenet
    python benchmarks/codec.py runs/recorded-*

Size: each message against the plug-in conditional entropy of its indices, summed over kernels, plus codebooks (that is
H(index | index held) for a difference and H(index) for an update), the message as it is and with its other parameters
(BatchNorm, biases) unchanged; and against general compressors on the same indices
packed at ceil(log2 C) bits (for a difference also on the steps, packed likewise). Speed: million weights per second of
both implementations on one message of the last round, medians of alternating turns.
"""

from __future__ import annotations

import argparse
import bz2
import lzma
import os
import statistics
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from record import interleaved_ms, save

from tfc.codec import message
from tfc.codec.message_spec import Decoded, Kind, MessageSpec, ReferenceModel
from tfc.codec.spec_file import from_json
from tfc.replay.replay import RecordedRun


def entropy_bits(symbols: np.ndarray, contexts: np.ndarray) -> float:
    """Plug-in conditional entropy of symbols given contexts, times their number."""
    table = np.zeros((int(contexts.max()) + 1, int(symbols.max()) + 1))
    np.add.at(table, (contexts, symbols), 1)
    rows = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, rows, out=np.ones_like(table), where=table > 0)
    return float(-(table * np.log2(shares)).sum())


def packed(indices: np.ndarray, num_clusters: int) -> bytes:
    """Indices at ceil(log2 C) bits each."""
    width = max(1, int(num_clusters - 1).bit_length())
    bits = (indices.reshape(-1, 1).astype(np.uint8) >> np.arange(width, dtype=np.uint8)) & 1
    return np.packbits(bits.reshape(-1), bitorder="little").tobytes()


def general_compressors() -> dict[str, Callable[[bytes], bytes]]:
    """Compressors by name, each at its highest usual setting; those that are not installed are left out."""
    found: dict[str, Callable[[bytes], bytes]] = {
        "zlib": lambda data: zlib.compress(data, 9),
        "bz2": lambda data: bz2.compress(data, 9),
        "xz": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    }
    try:
        import zstandard

        found["zstd"] = zstandard.ZstdCompressor(level=19).compress
    except ModuleNotFoundError:
        print("zstd left out: pip install zstandard")
    try:
        import brotli

        found["brotli"] = lambda data: brotli.compress(data, quality=11)
    except ModuleNotFoundError:
        print("brotli left out: pip install brotli")
    return found


def sizes(payload: bytes, decoded: Decoded, spec: MessageSpec, held: ReferenceModel) -> dict[str, float]:
    """Bytes of one message and of what it is compared with."""
    kind = Kind(payload[3])
    sent = decoded.message
    bits = 0.0
    indices = []
    for palette, before in zip(sent.palettes, held.palettes, strict=True):
        new = np.asarray(palette.indices).reshape(-1)
        old = np.asarray(before.indices).reshape(-1)
        bits += entropy_bits(new, old if kind == Kind.DELTA else np.zeros_like(old))
        indices.append(new)
    clusters = int(sent.num_clusters)
    width = 1 if kind == Kind.UPDATE else 2
    codebooks = width * clusters * len(sent.palettes)
    raw = packed(np.concatenate(indices), clusters)
    # The same message where no other parameter has changed: what is left is kernels, tables, the coder's lanes.
    unchanged = message.encode(sent._replace(others=held.others), spec, held, update=kind == Kind.UPDATE)
    row = {
        "message": float(len(payload)),
        "message_without_other_parameters": float(len(unchanged)),
        "entropy_and_codebooks": bits / 8 + codebooks,
        "packed": float(len(raw)),
    }
    row |= {name: float(len(compress(raw))) for name, compress in general_compressors().items()}
    return row


Timed = tuple[bytes, Decoded, MessageSpec, ReferenceModel]
"""A payload, its content, its specification, and what its receiver holds."""


def messages_of(run: Path) -> tuple[dict[str, list[dict[str, float]]], dict[str, Timed]]:
    """Sizes of all differences and updates of a run by direction, and one message of each for timing."""
    downlink, uplink = from_json((run / "payloads" / "spec.json").read_text(encoding="utf-8"))
    held: ReferenceModel | None = None
    rows: dict[str, list[dict[str, float]]] = {"downlink": [], "uplink": []}
    last: dict[str, Timed] = {}
    recorded = RecordedRun(run)
    for expected in recorded.rounds:
        payloads = recorded.payloads(expected)
        broadcast = next(iter(payloads.down.values()))[-1]
        decoded = message.decode(broadcast, downlink, held)
        if held is not None and broadcast[3] == Kind.DELTA:
            rows["downlink"].append(sizes(broadcast, decoded, downlink, held))
            last["downlink"] = (broadcast, decoded, downlink, held)
        held = decoded.held
        for answer in list(payloads.up.values())[:3]:
            understood = message.decode(answer, uplink, held)
            rows["uplink"].append(sizes(answer, understood, uplink, held))
            last["uplink"] = (answer, understood, uplink, held)
    return rows, last


def speeds(payload: bytes, decoded: Decoded, spec: MessageSpec, held: ReferenceModel, turns: int) -> dict[str, float]:
    """Million weights per second of both implementations."""
    import tensorflow as tf

    from tfc import graph_codec

    update = payload[3] == Kind.UPDATE
    tensors = tf.nest.map_structure(tf.constant, (decoded.message, held))
    data = tf.constant(np.frombuffer(payload, np.uint8))

    @tf.function
    def encode_in_graph() -> tf.Tensor:
        return graph_codec.encode(tensors[0], spec, tensors[1], update=update)

    @tf.function
    def decode_in_graph() -> Any:
        return graph_codec.decode(data, spec, tensors[1])

    ways: dict[str, Callable[[], Any]] = {
        "numpy_encode": lambda: message.encode(decoded.message, spec, held, update=update),
        "numpy_decode": lambda: message.decode(payload, spec, held),
        "graph_encode": encode_in_graph,
        "graph_decode": decode_in_graph,
    }
    samples = interleaved_ms(ways, turns)
    return {name: round(spec.num_indices / statistics.median(times) / 1e3, 3) for name, times in samples.items()}


def main() -> None:
    """Measures every run named and writes `results/codec.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs made with --record-payloads")
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for run in options.runs:
        rows, last = messages_of(run)
        for direction, found in rows.items():
            if not found:
                continue
            mean = {key: round(statistics.mean(row[key] for row in found), 1) for key in found[0]}
            by_entropy = [row["message"] / row["entropy_and_codebooks"] for row in found]
            kernels = mean["message_without_other_parameters"] / mean["entropy_and_codebooks"]
            figures = {
                "messages": len(found),
                "weights": last[direction][2].num_indices,
                "mean_bytes": mean,
                "message_by_entropy": {
                    "mean_of_all_bytes": round(mean["message"] / mean["entropy_and_codebooks"], 4),
                    "worst": round(max(by_entropy), 4),
                    "without_other_parameters": round(kernels, 4),
                },
                "million_weights_per_second": speeds(*last[direction], options.turns),
            }
            results[f"{run.name} {direction}"] = figures
            print(run.name, direction, figures, sep="\n  ")
    names = " ".join(str(run) for run in options.runs)
    save("codec", f"python benchmarks/codec.py {names}", results)


if __name__ == "__main__":
    main()

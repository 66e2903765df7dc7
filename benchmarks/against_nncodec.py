"""Uplink quantiser and entropy coder against `nncodec`, the reference software of ISO/IEC 15938-17, on real updates.

    tfc run fashion-resnet8 --set method=fedavg --record-payloads --out runs/raw-resnet8
    tfc run fashion-resnet8-low-traffic --record-payloads --out runs/recorded-low
    python -m venv nncodec-env && nncodec-env/bin/pip install nncodec==2.1.3
    python benchmarks/against_nncodec.py runs/raw-resnet8 runs/recorded-low --nncodec-python nncodec-env/bin/python

Lossy: raw float32 updates of three clients in rounds 2, 7 and 12 of FedAvg, kernels alone. Ours at a series of rate
weights, without the scales that make it unbiased; `nncodec` at its best over quantisation parameters and weights of the
rate, with dependent (trellis-coded) and scalar quantisation. Bytes are compared at equal squared error: those of the
lower convex hull of each one's points, with the logarithm of the error as the other axis. Ours are whole messages with
header, tables and checksum; side parameters unchanged.

Lossless: the indices of a recorded FedCompress run's updates, as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from codec import entropy_bits
from record import save

from tfc.clustering import rate_distortion
from tfc.codec import message
from tfc.codec.frequency_bands import coefficients
from tfc.codec.message_spec import Kind, Message, MessageSpec, ReferenceModel
from tfc.codec.palette import Palette
from tfc.codec.spec_file import from_json
from tfc.replay.replay import RecordedRun

ROUNDS, CLIENTS, LEVELS = (2, 7, 12), 3, 33
RATE_WEIGHTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 2.6, 3.5, 5.0, 7.0)
ERRORS = (0.2, 0.3, 0.5, 0.75)
"""Squared errors, relative to the update's square, at which bytes are compared."""


def raw_updates(run: Path) -> dict[str, list[np.ndarray]]:
    """Changes of all kernels of the first clients, by round and client."""
    downlink, uplink = from_json((run / "payloads" / "spec.json").read_text(encoding="utf-8"))
    recorded = RecordedRun(run)
    found = {}
    for expected in recorded.rounds:
        if expected.round not in ROUNDS:
            continue
        payloads = recorded.payloads(expected)
        sent = message.decode(next(iter(payloads.down.values()))[-1], downlink, None).message.others
        for client, answer in list(payloads.up.items())[:CLIENTS]:
            told = message.decode(answer, uplink, None).message.others
            changes = [np.asarray(new - old) for new, old in zip(told, sent, strict=True) if new.ndim > 1]
            found[f"round {expected.round} client {client}"] = changes
    return found


def our_points(updates: list[np.ndarray]) -> list[dict[str, float]]:
    """Bytes and errors of our quantiser and format over rate weights."""
    shapes = tuple(update.shape for update in updates)
    spec = MessageSpec(shapes, (), LEVELS, kinds=(Kind.UPDATE,), reference_clusters=2)
    nothing = tuple(Palette(np.zeros(2, np.float32), np.zeros(shape, np.uint8)) for shape in shapes)
    held = ReferenceModel(np.int32(2), nothing, tuple(np.zeros(shape, np.uint8) for shape in shapes), ())
    told = [coefficients(update) for update in updates]
    total = sum(float((np.float64(values) ** 2).sum()) for values in told)
    points = []
    for weight in RATE_WEIGHTS:
        palettes, error = [], 0.0
        mean_square = total / sum(values.size for values in told)
        for values in told:
            # One price of a bit for all kernels, as least squared error wants it.
            own = float((np.float64(values) ** 2).mean())
            priced = rate_distortion.fit(
                tf.constant(values), LEVELS, tf.constant(weight * mean_square / own, tf.float32)
            )
            slots = rate_distortion.cheapest_centroid(tf.constant(values), priced).numpy()
            palettes.append(Palette(priced.centroids.numpy(), slots.astype(np.uint8)))
            error += float(((priced.centroids.numpy()[slots] - values) ** 2).sum())
        sent = Message(np.int32(LEVELS), tuple(palettes), (), np.zeros(0, np.float32))
        points.append({"bytes": len(message.encode(sent, spec, held, update=True)), "error": error / total})
    return points


def bytes_at(points: list[dict[str, float]], error: float) -> int | None:
    """Bytes at an error on the lower convex hull of points, the log of the error as the other axis; None outside."""
    ordered = sorted((float(np.log(point["error"])), point["bytes"]) for point in points if point["error"] > 0)
    hull: list[tuple[float, float]] = []
    for x, y in ordered:
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) >= (y - hull[-2][1]) * (
            hull[-1][0] - hull[-2][0]
        ):
            hull.pop()
        hull.append((x, y))
    xs, ys = zip(*hull, strict=True)
    wanted = float(np.log(error))
    if not xs[0] <= wanted <= xs[-1]:
        return None
    return round(float(np.interp(wanted, xs, ys)))


def our_indices(run: Path) -> tuple[dict[str, list[np.ndarray]], list[dict[str, float]]]:
    """Indices of updates as distances from zero, and what they take in our messages and by their entropy."""
    downlink, uplink = from_json((run / "payloads" / "spec.json").read_text(encoding="utf-8"))
    recorded = RecordedRun(run)
    held: ReferenceModel | None = None
    indices, rows = {}, []
    for expected in recorded.rounds:
        payloads = recorded.payloads(expected)
        held = message.decode(next(iter(payloads.down.values()))[-1], downlink, held).held
        if expected.round not in ROUNDS:
            continue
        for client, answer in list(payloads.up.items())[:CLIENTS]:
            told = message.decode(answer, uplink, held).message
            steps = [np.asarray(palette.indices, np.int32) - uplink.max_clusters // 2 for palette in told.palettes]
            indices[f"indices of round {expected.round} client {client}"] = steps
            kernels = message.encode(told._replace(others=held.others), uplink, held, update=True)
            entropy = sum(entropy_bits(each.ravel() + 99, np.zeros(each.size, int)) for each in steps) / 8
            rows.append({"ours": float(len(kernels)), "order_0_entropy": entropy})
    return indices, rows


def measured_by_nncodec(python: Path, groups: dict[str, list[np.ndarray]]) -> dict[str, list[dict[str, float]]]:
    """Runs `nncodec_points.py` in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "arrays.npz", Path(folder) / "points.json"
        arrays = {
            f"{group}/{number:03}": values for group, kernels in groups.items() for number, values in enumerate(kernels)
        }
        np.savez(source, **arrays)
        script = Path(__file__).with_name("nncodec_points.py")
        subprocess.run([str(python), str(script), str(source), str(target)], check=True)
        found: dict[str, list[dict[str, float]]] = json.loads(target.read_text())
        return found


def main() -> None:
    """Writes `results/against_nncodec.json` and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, help="folder of a FedAvg run made with --record-payloads")
    parser.add_argument("recorded", type=Path, help="folder of a FedCompress run made with --record-payloads")
    parser.add_argument("--nncodec-python", type=Path, help="interpreter that has nncodec; left out without it")
    options = parser.parse_args()
    updates = raw_updates(options.raw)
    indices, rows = our_indices(options.recorded)
    theirs: dict[str, Any] = {}
    if options.nncodec_python:
        theirs = measured_by_nncodec(options.nncodec_python, {**updates, **indices})
    lossy: dict[str, Any] = {}
    for group, arrays in updates.items():
        ours = our_points(arrays)
        weights = sum(array.size for array in arrays)
        lossy[group] = {
            str(error): {
                "ours": bytes_at(ours, error),
                "nncodec": bytes_at(theirs[group], error) if theirs else None,
                "gaussian_bound_without_correlation": round(-0.5 * np.log2(error) * weights / 8),
            }
            for error in ERRORS
        }
        print(group, lossy[group], sep="\n  ")
    lossless = {
        "ours": round(statistics.mean(row["ours"] for row in rows), 1),
        "order_0_entropy": round(statistics.mean(row["order_0_entropy"] for row in rows), 1),
        "nncodec": round(statistics.mean(theirs[group][0]["bytes"] for group in indices), 1) if theirs else None,
        "nncodec_is_lossless": all(theirs[group][0]["error"] == 0 for group in indices) if theirs else None,
    }
    print("lossless", lossless)
    command = f"python benchmarks/against_nncodec.py {options.raw} {options.recorded} --nncodec-python PYTHON"
    save("against_nncodec", command, {"bytes_at_equal_squared_error": lossy, "bytes_of_our_indices": lossless})


if __name__ == "__main__":
    main()

"""Size, accuracy and speed of all variants of trained models, and of updates between two rounds.

    tfc run fashion-resnet8 --record-payloads --out runs/recorded-resnet8
    tfc run fashion-resnet20 --record-payloads --out runs/recorded-resnet20
    tfc run fashion-resnet8 --set model.name=mobilenet --set rounds=3 --record-payloads --out runs/recorded-mobilenet
    python benchmarks/model_files.py runs/recorded-* runs/reference/fedavg-seed0 runs/reference/as-published-seed0

Per run: exports f32, wo8, int8, lut and their packed copies; counts bytes and codes; measures accuracy on the full test
set (look-up tables expanded, after they were compared with int8 bit for bit in TFLM); times opening; measures speed-ups
in alternating slices, on one thread, against f32 and against int8 of the same architecture with kernels that were never
clustered; where the run kept its payloads, makes the patch between the models before and after the last round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from record import save

from edge.conversion.converter import quiet_converter, to_int8
from edge.conversion.keras_file import load_keras_model
from edge.conversion.variants import export
from edge.formats.inspection import inspect
from edge.formats.packing import pack, read_model_content
from edge.formats.patch import make_patch
from edge.formats.table_expansion import expand_tables
from edge.measuring.bench import bench_files
from edge.measuring.interleaving import BenchSettings
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from edge.running.verification import VerifySettings, verify
from tfc import config
from tfc.replay.round_model import write_round_model
from tfc.simulation.device_data import write_device_data

VARIANTS = ("f32", "wo8", "int8", "lut", "packed")


def never_clustered(model: tf.keras.Model, calibration: np.ndarray) -> bytes:
    """int8 of the same architecture with kernels of as many values as weights; only its speed means something."""
    rng = np.random.default_rng(0)
    plain = tf.keras.models.clone_model(model)
    plain.set_weights(
        [
            weights + rng.normal(0, 0.1 * weights.std(), weights.shape) if weights.ndim > 1 else weights
            for weights in model.get_weights()
        ]
    )
    with quiet_converter():
        return to_int8(plain, calibration)


def keras_accuracy(model: tf.keras.Model, test: Path) -> float:
    """Share of the test set that the Keras model gets right."""
    data = np.load(test)
    return float((model.predict(data["x"], batch_size=500, verbose=0).argmax(axis=1) == data["y"]).mean())


def open_ms(path: Path, turns: int = 7) -> float:
    """Median milliseconds from a file to the content that an interpreter of Linux loads."""
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        expand_tables(read_model_content(path))
        times.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(times), 2)


def accuracies(paths: dict[str, Path], test: Path, runtime: str) -> dict[str, float]:
    """Share of the test set that each file gets right."""
    data = np.load(test)
    found = {}
    for variant, path in paths.items():
        model = TfliteModel(path, find_runtime(runtime))
        found[variant] = round(float((model.predict(data["x"]).argmax(axis=1) == data["y"]).mean()), 4)
    return found


def speedups(paths: dict[str, Path], runtime: str, seconds: float) -> dict[str, float]:
    """Median paired speed-ups against f32, and int8's against never clustered int8."""
    settings = BenchSettings(min_seconds=seconds, slices=40)
    files = [paths[variant] for variant in ("f32", "wo8", "int8", "plain-int8")]
    by_name = {item["name"]: item for item in bench_files(files, runtime=runtime, settings=settings)["files"]}
    found = {f"{variant}_by_f32": by_name[paths[variant].name]["speedup"] for variant in ("wo8", "int8")}
    found["f32_ms"] = by_name[paths["f32"].name]["latency_ms"]["median"]
    pair = bench_files([paths["plain-int8"], paths["int8"]], runtime=runtime, settings=settings)["files"]
    return {**found, "int8_by_never_clustered_int8": pair[1]["speedup"]}


def update_between_rounds(run: Path, folder: Path, calibration: Path) -> dict[str, Any]:
    """Bytes of the patch from the int8 export before the last round to the one after it."""
    rounds = config.load(str(run / "config.toml")).rounds
    before = folder / "before.keras"
    write_round_model(run, rounds, before)
    old = export(before, folder, ("int8",), calibration, "before").paths["int8"]
    new = export(run / "model.keras", folder, ("int8",), calibration, "after").paths["int8"]
    return {"rounds": [rounds - 1, rounds], "patch_bytes": len(make_patch(old.read_bytes(), new.read_bytes()))}


def measure(run: Path, seconds: float) -> dict[str, Any]:
    """Everything of one run."""
    settings = config.load(str(run / "config.toml"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        calibration, test = write_device_data(settings, folder)
        done = export(run / "model.keras", folder, VARIANTS, calibration)
        assert not done.lost_palettes, done.lost_palettes
        model = load_keras_model(run / "model.keras")
        plain = folder / "model-plain-int8.tflite"
        plain.write_bytes(never_clustered(model, np.load(calibration)["x"]))
        paths = {variant: done.paths[variant] for variant in ("f32", "wo8", "int8", "lut")}
        f32 = paths["f32"].stat().st_size
        sizes = {variant: path.stat().st_size for variant, path in done.paths.items()}
        kernels = {variant: inspect(paths[variant])["kernels"] for variant in ("f32", "wo8", "int8", "lut")}
        exact = verify(paths["int8"], paths["lut"], settings=VerifySettings(random_inputs=20))
        update = update_between_rounds(run, folder, calibration) if (run / "payloads").is_dir() else None
        if update:
            update["times_smaller_than_f32"] = round(f32 / update["patch_bytes"], 2)
        return {
            "model": settings.model.name,
            "method": settings.method,
            "bytes": sizes,
            "times_smaller_than_f32": {variant: round(f32 / size, 2) for variant, size in sizes.items()},
            "plain_int8_bytes": plain.stat().st_size,
            "plain_int8_packed_bytes": len(pack(plain.read_bytes())),
            "most_distinct_codes": {
                variant: max(row["distinct"] for row in rows if "DEPTHWISE" not in row["operator"])
                for variant, rows in kernels.items()
            },
            "keras_accuracy": round(keras_accuracy(model, test), 4),
            "accuracy_litert": accuracies(paths, test, "litert"),
            "accuracy_tflite": accuracies({name: paths[name] for name in ("wo8", "int8")}, test, "tflite"),
            "lut_equals_int8_in_tflm": exact["passed"],
            "open_ms": {name: open_ms(done.paths[name]) for name in ("lut", "int8.packed", "lut.packed", "wo8.packed")},
            "update": update,
            "speed": {
                runtime: speedups({**paths, "plain-int8": plain}, runtime, seconds) for runtime in ("litert", "tflite")
            },
        }


def main() -> None:
    """Measures every run named and writes `results/model_files.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs made with --record-payloads")
    parser.add_argument("--seconds", type=float, default=3.0, help="of counted runs of each file")
    options = parser.parse_args()
    results = {}
    for run in options.runs:
        results[run.name] = measure(run, options.seconds)
        print(run.name, results[run.name], sep="\n  ")
    names = " ".join(str(run) for run in options.runs)
    print(save("model_files", f"python benchmarks/model_files.py {names}", results))


if __name__ == "__main__":
    main()

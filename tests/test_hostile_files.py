"""Every reader, and files that were damaged or made to do harm: the format's own error, and nothing else.

Mutations know the format (`mutations`). `make test` makes some 1,050 of them, `make test-system` more than 20,000; both
print how many each reader read and refused.
"""

import gzip
import io
import json
import pickle
import random
import struct
import tarfile
import time

import mutations
import numpy as np
import pytest
from recorded_runs import recorded_run

from tfc.base.errors import FedCompressError

FAST, SLOW = 70, 1_700
LONGEST_SECONDS = 10


def _wav(rate=16_000, samples=400):
    data = bytes(range(256)) * (2 * samples // 256 + 1)
    data = data[: 2 * samples]
    form = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + form + b"data" + struct.pack("<I", len(data)) + data
    )


def _tgz():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("s/wav/a.wav", "s/wav/b.wav"):
            member = tarfile.TarInfo(name)
            member.size = len(_wav())
            archive.addfile(member, io.BytesIO(_wav()))
    return out.getvalue()


def _npz():
    out = io.BytesIO()
    np.savez_compressed(out, x=np.zeros((6, 4, 4, 1), np.float32), y=np.arange(6))
    return out.getvalue()


def _bench():
    latency = {"median": 1.0, "p10": 0.9, "p90": 1.1, "p99": 1.2, "runs": 4, "raw": [[1.0, 0.9], [1.1, 1.2]]}
    state = {"governor": None, "frequency_mhz": 1000, "temperature_celsius": None, "throttled": None}
    item = {
        "name": "a-f32.tflite", "path": "out/a-f32.tflite", "runtime": "ai-edge-litert", "runtime_version": "2.0",
        "sha256": "0" * 64, "bytes": 1000, "bytes_deflated": 900, "accuracy": 0.5, "agreement": 1.0,
        "agreement_with": "a-f32.tflite", "load_ms": 1.0, "first_ms": 1.0, "peak_memory_mb": 50.0, "arena_bytes": None,
        "latency_ms": latency, "speedup": 1.0, "speedup_interval": [1.0, 1.0],
    }  # fmt: skip
    return {
        "date": "2026-01-01T00:00:00+00:00", "machine": {"processor": "any", "architecture": "x86_64", "cores": 2},
        "state": {"before": state, "after": state, "throttled": None}, "threads": 1, "complete": True, "data": None,
        "settings": {"kernels": "xnnpack", "batch": 1, "slices": 2}, "baseline": "a-f32.tflite",
        "baseline_runtime": "ai-edge-litert", "refused": [], "files": [item, {**item, "name": "b-f32.tflite"}],
    }  # fmt: skip


class Place:
    """A folder with sound files, one of which a mutation replaces."""

    def __init__(self, folder):
        self.folder, self.run = folder, recorded_run(folder / "run", rounds=3, clients=2)
        (folder / "bench.json").write_text(json.dumps(_bench()))
        (folder / "data.npz").write_bytes(_npz())
        (folder / "a.wav").write_bytes(_wav())
        (folder / "v.tgz").write_bytes(_tgz())
        rows = np.zeros((3, 3072), np.uint8)
        (folder / "batch").write_bytes(pickle.dumps({b"data": rows, b"labels": [0, 1, 2]}, 2))
        (folder / "sweep.toml").write_text(
            'preset = "demo"\nseeds = [0]\n[set]\nrounds = 2\n[arms.a]\nmethod = "fedavg"\n'
            '[vary]\n"training.learning_rate" = [1.0]\n'
        )


def read_compared(place):
    from tfc.report.page import write_report
    from tfc.report.tables import comparison_table, mean_table
    from tfc.simulation.folder import read_run

    run = read_run(place.run)
    comparison_table([run]).to_markdown()
    mean_table([run]).to_csv()
    write_report([run], None, place.folder / "report.html")


def read_status(place):
    from tfc.simulation.status import describe_status, read_status

    describe_status(read_status(place.run))


def read_settings(place):
    from tfc import config

    config.load(place.run / "config.toml")


def read_sweep(place):
    from tfc.simulation.sweep_file import plan_file

    plan_file(place.folder / "sweep.toml")


def read_replayed(place):
    from tfc.replay.replay import replay

    replay(place.run)


def read_bench(place):
    from edge.measuring.bench_report import to_html
    from edge.measuring.bench_result import read_bench
    from edge.measuring.bench_table import format_bench, format_comparison, to_csv
    from tfc.report.page import latency_table

    result = read_bench(place.folder / "bench.json")
    format_bench(result)
    to_csv(result)
    to_html(result)
    format_comparison([result, result])
    latency_table(result).to_markdown()


def read_examples(place):
    from edge.formats.boundaries import Boundary
    from edge.formats.example_data import read_examples

    read_examples(place.folder / "data.npz", [Boundary((1, 4, 4, 1), "float32", 0.0, 0)])


def read_wav(place):
    from tfc.data.waveforms import read_waveform

    read_waveform(place.folder / "a.wav", "a.wav")


def read_tgz(place):
    from tfc.data.voxforge import _Recording, _waveforms

    (place.folder / "v.tgz").write_bytes(gzip.compress((place.folder / "v.tgz").read_bytes(), 1))
    list(_waveforms(_Recording(place.folder / "v.tgz", 0, "s")))


def read_cifar(place):
    from tfc.data.cifar import read_batch

    read_batch(place.folder / "batch", b"labels")


READERS = {
    "summary.json": ("run/summary.json", mutations.of_json, read_compared),
    "metrics.csv": ("run/metrics.csv", mutations.of_csv, read_compared),
    "metrics.csv (status)": ("run/metrics.csv", mutations.of_csv, read_status),
    "clients.csv": ("run/clients.csv", mutations.of_csv, read_compared),
    "config.toml": ("run/config.toml", mutations.of_toml, read_settings),
    "config.toml (status)": ("run/config.toml", mutations.of_toml, read_status),
    "sweep.toml": ("sweep.toml", mutations.of_toml, read_sweep),
    "spec.json": ("run/payloads/spec.json", mutations.of_json, read_replayed),
    "digests.json": ("run/payloads/round-002/digests.json", mutations.of_json, read_replayed),
    "payload": ("run/payloads/round-002/up-000.fc", mutations.of_bytes, read_replayed),
    "bench.json": ("bench.json", mutations.of_json, read_bench),
    "NPZ": ("data.npz", mutations.of_npz, read_examples),
    "WAV": ("a.wav", mutations.of_wav, read_wav),
    "tgz": ("v.tgz", mutations.of_tar, read_tgz),
    "CIFAR": ("batch", mutations.of_bytes, read_cifar),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("hostile"))


def bombard(place, name, count, seed):
    """Returns how many mutations were read, and how many refused; fails at the first other outcome."""
    where, mutate, read = READERS[name]
    path, rng = place.folder / where, random.Random(f"{seed} {name}")
    sound, log = path.read_bytes(), place.run / "run.log"
    read(place)
    path.write_bytes(sound)
    seen = refused = 0
    try:
        for number in range(count):
            content = (mutate if rng.random() < 0.7 else mutations.of_bytes)(rng, sound)
            path.write_bytes(content)
            log.write_bytes(mutations.of_bytes(rng, b"2026-01-01T00:00:00+0000 INFO round 1 of 3: x\n"))
            started = time.monotonic()
            try:
                read(place)
                seen += 1
            except FedCompressError as error:
                refused += 1
                said = str(error)
                assert "\n" not in said and "\x1b" not in said and len(said) < 5000, said
            except BaseException as error:
                pytest.fail(f"{name}, mutation {number}, {content[:200]!r}: {type(error).__name__}: {error}"[:2000])
            assert time.monotonic() - started < LONGEST_SECONDS, (name, number, content[:200])
    finally:
        path.write_bytes(sound)
        log.unlink(missing_ok=True)
    return seen, refused


def report(capsys, counts):
    with capsys.disabled():
        print()
        for name, (seen, refused) in counts.items():
            print(f"hostile files: {name:22} {seen + refused:6} mutations: {refused:6} refused, {seen:5} read")
        print(f"hostile files: {sum(map(sum, counts.values())):,} mutations in all, none ended otherwise")


def test_a_thousand_damaged_files_get_their_formats_error(place, capsys):
    counts = {name: bombard(place, name, FAST, 1) for name in READERS}
    report(capsys, counts)
    assert sum(map(sum, counts.values())) >= 1_000


@pytest.mark.slow
def test_twenty_thousand_damaged_files_get_their_formats_error(place, capsys):
    counts = {name: bombard(place, name, SLOW, 2) for name in READERS}
    report(capsys, counts)
    assert sum(map(sum, counts.values())) >= 20_000

"""The device side on aarch64: a Debian arm64 userland under qemu-user, in build/aarch64 (make test-aarch64)."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from programs import needs_root, program

pytestmark = pytest.mark.aarch64
USERLAND = Path(__file__).parent.parent.parent / "build" / "aarch64"
QUICK = ["--min-runs", "20", "--min-seconds", "0"]


@pytest.fixture(scope="module")
def python():
    """Python on aarch64."""
    program("debootstrap", "debootstrap")
    program("qemu-aarch64-static", "qemu-user-static")
    needs_root("debootstrap unpacks as root only")
    from aarch64_userland import build

    return build(USERLAND)


@pytest.fixture
def edge(python, tmp_path):
    """Runs `edge` there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*words):
        return subprocess.run(
            [python, "-m", "edge", *map(str, words)], capture_output=True, text=True, cwd=tmp_path, env=environment
        )

    return run


def test_every_device_command_runs(edge, exported, tmp_path):
    variants = [exported / f"model-{end}" for end in ("int8.tflite", "lut.tflite", "int8.tflite.packed")]
    data = ["--data", exported / "test.npz"]
    for words in (
        ["inspect", *variants],
        ["verify", *variants[:2], "--runtime", "litert"],
        ["verify", exported / "model-f32.tflite", variants[0], *data, "--runtime", "tflite"],
        ["pack", variants[0], "--out", "m.packed"],
        ["unpack", "m.packed", "--out", "m.tflite"],
        ["patch", "make", variants[0], "m.tflite", "--out", "p"],
        ["patch", "apply", variants[0], "p", "--out", "new.tflite"],
        ["bench", exported / "model-f32.tflite", *variants, *data, *QUICK, "--all-runtimes", "--json", "b.json"],
        ["doctor"],
    ):
        done = edge(*words)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "new.tflite").read_bytes() == variants[0].read_bytes()
    result = json.loads((tmp_path / "b.json").read_text())
    assert result["machine"]["architecture"] == "aarch64"
    assert {item["runtime"] for item in result["files"]} == {"ai-edge-litert", "tflite-runtime"}
    assert all(item["accuracy"] >= 0.9 for item in result["files"])


def test_reference_kernels_compute_the_same_bits_as_here(python, exported):
    from aarch64_outputs import compare

    files = [exported / f"model-{variant}.tflite" for variant in ("f32", "wo8", "int8", "lut")]
    rows = compare(python, files, 30)
    assert len(rows) == 2 * 3 * 4 - 1  # tflite-runtime has no plain kernel for wo8's DEQUANTIZE
    for row in rows:
        if row["kernels"] == "reference" and row["file"] in ("model-int8.tflite", "model-lut.tflite"):
            assert row["equal_codes"] == 1.0, row
        limit = 1 if "int8" in row["file"] or "lut" in row["file"] else 1e-4
        assert row["largest_difference"] <= limit, row

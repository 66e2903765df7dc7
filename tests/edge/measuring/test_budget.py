"""Limits that fail a build, and a meter: the commands as a build types them."""

import json
import sys

import numpy as np
import pytest

from edge.cli import main
from edge.formats.costs import costs_of
from edge.formats.tflite_reader import TfliteView
from edge.measuring.bench_table import bench_notes
from edge.measuring.budget import Budget
from edge.measuring.energy import millijoules_per_run, read_joules
from tfc.base.errors import EdgeError

UNKNOWN = dict.fromkeys(("governor", "frequency_mhz", "temperature_celsius"))
QUICK = ["--min-runs", "20", "--min-seconds", "0"]


def bench(exported, *words):
    return main(["bench", str(exported / "model-int8.tflite"), *QUICK, *words])


def test_a_limit_that_is_kept_changes_nothing(exported, capsys):
    limits = ["--max-bytes", "10000000", "--max-median-ms", "10000", "--min-accuracy", "0"]
    assert bench(exported, *limits, "--data", str(exported / "test.npz")) == 0
    assert "over budget" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "limit,message",
    [
        (["--max-bytes", "100"], "bytes, allowed 100"),
        (["--max-median-ms", "1e-9"], "ms, allowed 1e-09"),
        (["--min-accuracy", "1"], ", 1 needed"),
    ],
)
def test_a_limit_that_is_broken_fails_the_build_and_names_the_row(exported, tmp_path, capsys, limit, message):
    data = np.load(exported / "test.npz")
    np.savez(tmp_path / "wrong.npz", x=data["x"], y=(data["y"] + 1) % 4)
    words = ["--data", str(tmp_path / "wrong.npz"), "--json", str(tmp_path / "bench.json")]
    assert bench(exported, *limit, *words) == 2
    found = capsys.readouterr()
    assert "over budget: model-int8.tflite (" in found.err and message in found.err
    assert json.loads((tmp_path / "bench.json").read_text())["complete"]  # the figures are there all the same


def test_limits_are_of_the_files_and_not_of_the_baseline_beside_them(exported, capsys):
    size = (exported / "model-int8.tflite").stat().st_size
    baseline = exported / "model-f32.tflite"
    assert baseline.stat().st_size > size
    assert bench(exported, "--baseline", str(baseline), "--max-bytes", str(size)) == 0
    both = [str(exported / "model-int8.tflite"), str(baseline)]
    assert main(["bench", *both, *QUICK, "--max-bytes", str(size)]) == 2
    assert "model-f32.tflite" in capsys.readouterr().err


@pytest.mark.parametrize(
    "limit,message",
    [
        (["--min-accuracy", "0.5"], "--min-accuracy needs --data"),
        (["--min-accuracy", "50"], "from 0 to 1"),
        (["--max-bytes", "0"], "--max-bytes must be at least 1"),
        (["--max-median-ms", "0"], "must be more than 0"),
        (["--energy-command", "false"], "'false' ends with 1"),
        (["--energy-command", "echo none"], "must print joules"),
        (["--energy-command", "no-such-meter"], "does not run"),
        (["--energy-command", "true", "--host", "pi"], "not together with --host"),
    ],
)
def test_what_is_refused_before_anything_is_measured(exported, capsys, limit, message):
    assert bench(exported, *limit) == 1
    assert message in capsys.readouterr().err


def test_what_can_not_be_told_is_over_budget():
    item = {"name": "a", "runtime": "r", "path": "a", "latency_ms": {"median": 1.0}, "accuracy": None, "bytes": 5}
    refused = [{"name": "b", "runtime": "r", "reason": "why"}, {"name": "a", "runtime": "s", "reason": "why"}]
    found = Budget(min_accuracy=0.5).broken({"files": [item], "refused": refused})
    assert found == ["a (r): accuracy not measured, 0.5 needed", "b (r): not measured: why"]


@pytest.fixture
def meter(tmp_path):
    """A meter that counts half a joule each time it is read."""
    state, script = tmp_path / "joules", tmp_path / "meter.py"
    state.write_text("0")
    script.write_text(
        f"from pathlib import Path\nstate = Path({str(state)!r})\n"
        "value = float(state.read_text()) + 0.5\nstate.write_text(str(value))\nprint(value)\n"
    )
    return f"{sys.executable} {script}"


def test_energy_is_the_meters_difference_per_inference(meter):
    counts = []

    class Runner:
        def run(self, count):
            counts.append(count)
            return [1.0] * count

    assert millijoules_per_run(Runner(), meter, median_ms=4.0, seconds=1.0) == pytest.approx(500 / 250)
    assert counts == [250]
    assert read_joules(meter) == 1.5


def test_a_meter_that_runs_backwards(tmp_path):
    (tmp_path / "m.py").write_text(
        "from pathlib import Path\np = Path(__file__).with_suffix('.n')\n"
        "n = int(p.read_text()) if p.exists() else 9\np.write_text(str(n - 1))\nprint(n)\n"
    )

    class Runner:
        def run(self, count):
            return []

    with pytest.raises(EdgeError, match="must count upwards"):
        millijoules_per_run(Runner(), f"{sys.executable} {tmp_path / 'm.py'}", 1.0, 0.001)


def test_the_command_tells_energy_and_macs(exported, tmp_path, meter, capsys):
    assert bench(exported, "--energy-command", meter, "--json", str(tmp_path / "bench.json")) == 0
    result = json.loads((tmp_path / "bench.json").read_text())
    (item,) = result["files"]
    assert 0 < item["energy_mj"] < 500
    assert item["macs"] == costs_of(TfliteView((exported / "model-int8.tflite").read_bytes())).macs > 0
    printed = capsys.readouterr().out
    assert "Millijoules of an inference" in printed and "MACs of an inference" in printed


def test_what_tables_cost_is_a_row_of_its_own():
    def row(name, median):
        return {"name": name, "runtime": "tflite-micro", "runtime_version": "1", "latency_ms": {"median": median}}

    result = {
        "files": [
            {**row(f"m-{kind}.tflite", median), "arena_bytes": None, "quality": None, "accuracy": None}
            for kind, median in (("int8", 2.0), ("lut", 2.5))
        ],
        "settings": {"kernels": "xnnpack", "batch": 1},
        "threads": 1,
        "machine": {"processor": "p", "architecture": "a"},
        "baseline": "m-int8.tflite",
        "baseline_runtime": "tflite-micro",
        "refused": [],
        "state": {"before": UNKNOWN, "after": UNKNOWN, "throttled": None},
        "complete": True,
        "data": None,
    }
    notes = "\n".join(bench_notes(result))
    assert "Decoding of look-up tables, against int8: m-lut.tflite 0.500 ms of 2.500." in notes

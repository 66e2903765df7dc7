"""What `edge bench` says of several interpreters, and how it says it: table, CSV, HTML, several machines."""

import copy
import csv
import io
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from report_pages import assert_as_wide_as_the_window, assert_well_formed

from edge.cli import main
from edge.measuring.bench import bench_files as bench
from edge.measuring.bench_report import to_html
from edge.measuring.bench_result import read_bench
from edge.measuring.bench_table import format_bench, format_comparison, milliseconds, to_csv
from edge.measuring.interleaving import BenchSettings
from edge.running.interpreters import InterpreterOptions
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.base.charts.scatter import Point, scatter
from tfc.base.errors import DataFileError, EdgeError

QUICK = BenchSettings(min_runs=20, min_seconds=0.0, slices=5)


@pytest.fixture(scope="module")
def result(exported):
    """Three variants in all interpreters."""
    files = [exported / f"model-{variant}.tflite" for variant in ("f32", "wo8", "int8", "lut")]
    return bench(files, data=exported / "test.npz", runtime="all", settings=QUICK)


def test_all_interpreters_are_measured_and_refusals_told(result):
    measured = [(item["name"], item["runtime"]) for item in result["files"]]
    everything = ["ai-edge-litert", "tflite-runtime", "tflite-micro"]
    assert measured == [
        (f"model-{variant}.tflite", runtime)
        for variant in ("f32", "wo8", "int8", "lut")
        for runtime in everything
        if (variant, runtime) != ("wo8", "tflite-micro")
    ]
    (refused,) = result["refused"]
    assert refused["name"] == "model-wo8.tflite" and "use int8 or lut there" in refused["reason"]
    assert result["baseline_runtime"] == "ai-edge-litert" and result["files"][0]["speedup"] == 1.0
    by_place = {(item["name"], item["runtime"]): item for item in result["files"]}
    for name in ("model-int8.tflite", "model-lut.tflite"):
        assert by_place[name, "tflite-micro"]["arena_bytes"] > 1000
        assert by_place[name, "ai-edge-litert"]["arena_bytes"] is None
    text = format_bench(result)
    assert "a host figure" in text and "not measured in tflite-micro: " in text and "in ai-edge-litert: median" in text


def test_one_interpreter_that_refuses_is_an_error(exported):
    with pytest.raises(EdgeError, match="wrong results in the microcontroller interpreter"):
        bench([exported / "model-wo8.tflite"], runtime="tflm", settings=QUICK)


def test_microcontrollers_interpreter_says_how_much_memory_it_needs(exported):
    """As much as it says, and no less: an arena one step smaller does not do."""
    import tflite_micro

    path = exported / "model-int8.tflite"
    needed = TfliteModel(path, find_runtime("tflm")).arena_bytes

    def fits(size):
        try:
            tflite_micro.runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=size)
        except RuntimeError:
            return False
        return True

    assert fits(needed + 1024) and not fits(needed - 1024)


def test_batches_give_the_same_outputs(exported):
    x = np.load(exported / "test.npz")["x"][:11]
    runtime = find_runtime("litert")
    one, four = (
        TfliteModel(exported / "model-int8.tflite", runtime, InterpreterOptions(batch=batch)) for batch in (1, 4)
    )
    np.testing.assert_array_equal(one.predict(x), four.predict(x))
    assert four.batch == 4 and four.predict(x).shape == (11, one.predict(x[:1]).shape[1])


def test_reference_kernels_compute_the_same_classes(exported):
    x = np.load(exported / "test.npz")["x"]
    found = [
        TfliteModel(exported / "model-f32.tflite", find_runtime(name), InterpreterOptions(kernels=kernels)).predict(x)
        for name in ("litert", "tflite")
        for kernels in ("xnnpack", "builtin", "reference")
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-5)


@pytest.mark.parametrize(
    "words,message",
    [
        (["--batch", "0"], "--threads and --batch must be at least 1"),
        (["--batch", "2", "--runtime", "tflm"], "takes one input at a time; found --threads 1 --batch 2"),
        (["--threads", "2", "--runtime", "tflm"], "has one thread"),
        (["--min-seconds", "-1"], "--min-seconds from 0 to"),
    ],
)
def test_impossible_settings_get_one_line(words, message, exported, capfd):
    assert main(["bench", str(exported / "model-int8.tflite"), *words]) == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line


def test_csv_has_a_row_per_file_and_interpreter(result):
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert len(rows) == len(result["files"]) == 11
    for row, item in zip(rows, result["files"], strict=True):
        assert (row["name"], row["runtime"]) == (item["name"], item["runtime"])
        assert float(row["median_ms"]) == item["latency_ms"]["median"]


def test_html_needs_nothing_else_and_shows_every_number(result):
    hostile = copy.deepcopy(result)
    hostile["files"][0]["name"] = "<script>alert(1)</script>.tflite"
    text = to_html(hostile)
    parsed = assert_well_formed(text)
    assert text.count("<script") == 1 and any("alert(1)" in cell for cell in parsed.cells)
    for item in result["files"]:
        assert milliseconds(item["latency_ms"]["median"]) in parsed.cells and f"{item['bytes']:,}" in parsed.cells
    for svg in text.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + svg.partition("</svg>")[0] + "</svg>")


def test_points_and_bars_tell_their_file_interpreter_and_values(result):
    item = result["files"][0]
    told = f"<title>{item['name']}; {item['runtime']}; median {milliseconds(item['latency_ms']['median'])} ms"
    assert to_html(result).count(told) == 3  # latency, accuracy against latency, accuracy against bytes


def test_without_data_the_page_says_so(result):
    bare = copy.deepcopy(result)
    bare["data"] = None
    for item in bare["files"]:
        item["accuracy"] = item["agreement"] = item["quality"] = None
    assert "Accuracy: not measured (no --data)" in to_html(bare)


def test_points_lie_where_their_values_are():
    figure = ElementTree.fromstring(
        scatter("t", "x", "y", [Point("a", 1, 0.5), Point("b", 10, 0.7), Point("c", 100, 0.9)])
    )
    a, b, c = ((float(each.get("cx")), float(each.get("cy"))) for each in reversed(figure.findall("circle")))
    assert b[0] - a[0] == pytest.approx(c[0] - b[0], abs=0.2) and a[0] < b[0]
    assert a[1] - b[1] == pytest.approx(b[1] - c[1], abs=0.2) and a[1] > b[1]


def test_machines_side_by_side(result, tmp_path, capsys):
    other = copy.deepcopy(result)
    other["host"] = "pi@raspberrypi"
    other["files"] = other["files"][:1]
    other["files"][0]["latency_ms"] |= dict.fromkeys(("p10", "median", "p90", "p99"), 12.5)
    for name, content in (("a", result), ("b", other)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 4 + 4  # four files; three interpreters here and one there
    assert lines[1].endswith("12.500 (1.00x)") and lines[3].endswith("-")
    assert lines[-1].startswith("[4] ai-edge-litert on pi@raspberrypi: ")
    assert format_comparison([read_bench(tmp_path / "a.json")]).splitlines()[1].startswith("model-f32.tflite")


@pytest.mark.parametrize("content", ["", "[]", '{"files": []}'])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataFileError, match=r"x\.json: not "):
        read_bench(tmp_path / "x.json")


@pytest.mark.system
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_page_without_cutting_it(result, tmp_path, width):
    """On a laptop and on a phone."""
    assert_as_wide_as_the_window(to_html(result), tmp_path, width)

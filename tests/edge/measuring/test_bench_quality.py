"""What tables, CSV and pages say of outputs that are no scores, and of bench.json of older versions."""

import copy
import csv
import io
import json

import numpy as np
import pytest
import zoo
from report_pages import assert_well_formed

from edge.cli import main
from edge.measuring.bench import bench_files
from edge.measuring.bench_report import to_html
from edge.measuring.bench_result import read_bench
from edge.measuring.bench_table import format_bench, format_comparison, to_csv
from edge.measuring.interleaving import BenchSettings

QUICK = BenchSettings(min_runs=2, min_seconds=0.0, slices=1, warm_up_runs=1)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Measurements of float and int8 by the model's name."""
    folder = tmp_path_factory.mktemp("quality")
    found = {}
    for name in ("regression", "two_outputs", "pixels"):
        built = zoo.built(name)
        for variant, calibration in (("f32", None), ("int8", built.train)):
            (folder / f"{name}-{variant}.tflite").write_bytes(zoo.converted(built.model, calibration))
        test = dict(built.test)
        if name == "pixels":
            test = {"x_test": test["x"].astype(np.uint8), "y_test": test["y"]}
        np.savez(folder / f"{name}.npz", **test)
        files = [folder / f"{name}-{variant}.tflite" for variant in ("f32", "int8")]
        found[name] = bench_files(files, data=folder / f"{name}.npz", settings=QUICK)
    return found


def test_errors_have_their_own_column(measured):
    result = measured["regression"]
    f32, int8 = result["files"]
    assert f32["accuracy"] is None and f32["quality"]["metric"] == "mean absolute error"
    assert f32["agreement"] is None and f32["difference"] == {"judged": 0.0} and int8["difference"]["judged"] < 0.1
    text = format_bench(result)
    assert "mean absolute error" in text.splitlines()[0] and "root mean square error" in text and "differs 0.0" in text
    page = to_html(result)
    assert_well_formed(page)
    assert "<h2>Mean absolute error</h2>" in page and "down and to the left is better" in page
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert float(rows[1]["quality"]) == int8["quality"]["value"] and rows[1]["metric"] == "mean absolute error"
    assert "mean absolute error" in format_comparison([result])


def test_the_judged_output_is_named_and_the_others_compared(measured):
    result = measured["two_outputs"]
    text = format_bench(result)
    judged = result["files"][0]["quality"]["output"]
    assert (
        f"accuracy is that of the output {judged}" in text
        and "other outputs differ from two_outputs-f32.tflite" in text
    )


def test_all_files_get_the_same_pixels_and_a_division_is_said(measured):
    """The int8 file's input goes to 255, so both take the pixels as they are; of floats alone nothing is known."""
    result = measured["pixels"]
    assert "x_test is uint8: taken as it is" in format_bench(result) and len(result["data_notes"]) == 1
    assert min(item["accuracy"] for item in result["files"]) > 0.9
    alone = bench_files([result["files"][0]["path"]], data=result["data"], settings=QUICK)
    assert alone["data_notes"] == ["x_test is uint8: divided by 255"] and alone["files"][0]["accuracy"] < 0.9
    assert "x_test is uint8: divided by 255." in format_bench(alone)


def test_measurements_of_older_versions_are_read(measured, tmp_path, capsys):
    old = copy.deepcopy(measured["two_outputs"])
    del old["data_notes"], old["settings"]["keep_state"]
    for item in old["files"]:
        del item["quality"]
        item.pop("difference", None)
    (tmp_path / "old.json").write_text(json.dumps(old))
    result = read_bench(tmp_path / "old.json")
    assert f"{old['files'][0]['accuracy']:.4f}" in format_bench(result)
    assert_well_formed(to_html(result))
    assert main(["compare", str(tmp_path / "old.json")]) == 0
    assert capsys.readouterr().out.split()[2] == "accuracy"
    mixed = copy.deepcopy(result)
    mixed["files"][1]["quality"] = {"kind": "numeric", "metric": "mean absolute error", "value": 0.5}
    mixed["files"][0]["quality"] = {"kind": "scores", "metric": "accuracy", "value": 0.25}
    assert "0.5 mean absolute error" in format_bench(mixed) and "0.2500 accuracy" in format_bench(mixed)
    assert "see above" in to_html(mixed)

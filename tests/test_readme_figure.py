"""The figure of the README: drawn from recorded results, the same bytes each time."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "readme_figure.py"
SVG = "{http://www.w3.org/2000/svg}"


def entry(seed, accuracies, sent):
    return {"seed": seed, "accuracy_of_rounds": accuracies, "bytes_of_rounds": [sent] * len(accuracies)}


RESULTS = {
    "missing": ["other-seed1"],
    "target_accuracy": 0.79,
    "means": {"fedavg": {}, "fedcompress": {}, "other": {}, "weak": {}},
    "runs": {
        "fedavg-seed0": entry(0, [0.5, 0.7, 0.8], 10_000_000),
        "fedavg-seed1": entry(1, [0.5, 0.8, 0.8], 10_000_000),
        "fedcompress-seed0": entry(0, [0.4, 0.7, 0.8], 1_000_000),
        "fedcompress-seed1": entry(1, [0.4, 0.6, 0.7], 2_000_000),
        "other-seed0": entry(0, [0.3, 0.6, 0.7], 3_000_000),
        "weak-seed0": entry(0, [0.1, 0.2, 0.3], 3_000_000),
    },
}


def draw(results, folder, name, *words):
    (folder / "results.json").write_text(json.dumps(results))
    out = folder / name
    command = [sys.executable, str(SCRIPT), str(folder / "results.json"), "--out", str(out), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    return done, out


def test_the_same_results_give_the_same_bytes_and_what_is_missing_is_told(tmp_path):
    done, out = draw(RESULTS, tmp_path, "a.svg")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [
        "missing, so the figure is not final: other-seed1",
        "not drawn, never above 0.6: weak",
    ]
    _, again = draw(RESULTS, tmp_path, "b.svg")
    assert out.read_bytes() == again.read_bytes()


def test_means_are_marked_ours_stands_out_and_every_line_has_its_name(tmp_path):
    _, out = draw(RESULTS, tmp_path, "a.svg", "--low", "0.5")
    root = ElementTree.parse(out).getroot()
    told = [each.text for each in root.iter(f"{SVG}title")]
    assert told[0].startswith("Test accuracy against megabytes")
    # Seeds of 1 and 2 MB a round: 1.5 MB on average; .4 in round 1 lies below the axis.
    assert "FedCompress (ours), round 2: 0.6500, 3.000 MB" in told
    assert "FedCompress (ours), round 3: 0.7500, 4.500 MB" in told
    assert not any("FedCompress (ours), round 1" in text or "weak" in text for text in told)
    weights = {each.text: each.get("font-weight") for each in root.iter(f"{SVG}text")}
    assert weights["FedCompress (ours)"] == "bold" and {"FedAvg", "other", "FedAvg minus a point"} <= weights.keys()
    assert weights["FedAvg"] is None and "weak" not in weights
    thin = [each for each in root.iter(f"{SVG}path") if each.get("stroke-opacity")]
    assert len(thin) == 4  # two arms of two seeds


def test_results_that_leave_nothing_to_draw_are_refused(tmp_path):
    done, out = draw(RESULTS, tmp_path, "a.svg", "--low", "0.9")
    assert done.returncode == 1 and "no arm reaches an accuracy of 0.9" in done.stderr and not out.exists()


@pytest.mark.parametrize("name", ["methods-iid"])
def test_recorded_results_can_be_drawn(name, tmp_path):
    recorded = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    done, out = draw(recorded, tmp_path, "a.svg")
    assert done.returncode == 0, done.stderr
    names = {each.text for each in ElementTree.parse(out).getroot().iter(f"{SVG}text")}
    assert {"FedCompress (ours)", "FedAvg", "FedZip", "EDEN"} <= names

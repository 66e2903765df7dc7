"""The command `tfc` as a user types it."""

import contextlib
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf
from programs import in_a_terminal
from report_pages import assert_well_formed

from tfc.cli import main
from tfc.config import load
from tfc.simulation.folder import read_run


def tfc(*words, **options):
    return subprocess.run([sys.executable, "-m", "tfc", *map(str, words)], capture_output=True, text=True, **options)


def sets(settings):
    return [word for text in settings for word in ("--set", text)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_settings):
    """One finished run of each method, and what the commands printed."""
    folder = tmp_path_factory.mktemp("runs")
    printed = {}
    for method in ("fedavg", "fedcompress"):
        words = ["--record-payloads", *(["--verbose"] if method == "fedavg" else [])]
        printed[method] = run_tiny(tiny_settings, method, folder / method, *words, terminal=method == "fedcompress")
    return folder, printed


def run_tiny(settings, method, out, *more, terminal=False):
    """Runs through pipes, which only end when every process that inherited them has; then looks for survivors."""
    mark = str(out)
    environment = {**os.environ, "TFC_TEST_MARK": mark}
    words = ("run", "demo", *sets(settings), "--set", f"method={method}", "--out", out, *more)
    if terminal:
        done, done.stderr = in_a_terminal([sys.executable, "-m", "tfc", *words], env=environment, timeout=300)
    else:
        done = tfc(*words, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    survivors = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TFC_TEST_MARK") == mark:
                survivors.append(process.cmdline())
    assert survivors == []
    return done


def test_a_run_leaves_its_whole_folder(runs, tiny_settings):
    folder, printed = runs
    run = folder / "fedcompress"
    assert load(str(run / "config.toml")) == load("demo", tiny_settings)
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert list(rows[0]) == [
        "round", "accuracy", "loss", "num_clusters", "quality_score", "uplink_bytes", "downlink_bytes",
        "key_frame_bytes", "rate_weight", "clients_ok", "clients_failed", "seconds",
        "clients_dropped", "clients_not_finite", "clients_corrupt", "clients_late", "attempts", "simulated_seconds",
        "downlink_key_frame_bytes", "downlink_catch_up_bytes",
    ]  # fmt: skip
    assert [row["round"] for row in rows] == ["1", "2", "3"]
    assert [row["num_clusters"] for row in rows] == ["4", "8", "8"]
    assert all(row["clients_ok"] == "3" and row["clients_failed"] == "0" for row in rows)
    summary = json.loads((run / "summary.json").read_text())
    expected = {
        "method", "rounds", "final_accuracy", "best_accuracy", "uplink_bytes", "downlink_bytes", "fedavg_bytes",
        "communication_ratio", "uplink_ratio", "downlink_ratio", "parameters", "seconds", "peak_rss_mb", "num_clusters",
        "model_bytes", "versions", "machine", "seed", "uplink",
    }  # fmt: skip
    assert expected <= set(summary)
    assert summary["uplink_bytes"] == sum(int(row["uplink_bytes"]) for row in rows)
    assert summary["downlink_bytes"] == sum(int(row["downlink_bytes"]) for row in rows)
    assert (run / "clients.csv").read_text().splitlines()[0] == "client,class_0,class_1,class_2,class_3"
    assert np.sum(read_run(run).class_counts, axis=1).tolist() == [40, 40, 40]
    for name in (
        "accuracy_per_hour",
        "accuracy_per_round", "accuracy_per_megabyte", "bytes_per_round", "clusters_and_quality", "examples_of_clients",
    ):  # fmt: skip
        assert (run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    # On a terminal a progress bar with round, accuracy, clusters and bytes; a table on standard output.
    bar = printed["fedcompress"].stderr
    assert re.search(r"3/3 .*accuracy=[01]\.\d+.*clusters=8.*MB=", bar), bar[-500:]
    assert "| fedcompress | fedcompress |" in printed["fedcompress"].stdout
    assert not [name for name in run.rglob("*") if name.name.startswith(".")], "nothing temporary is left"


def test_a_pipe_gets_no_bar_and_with_verbose_a_line_per_round(runs):
    _, printed = runs
    log = printed["fedavg"].stderr
    assert not re.search(r"[\r\x1b]", log)
    assert [line.split(":")[1] for line in log.splitlines() if " round " in line] == [
        f" round {n} of 3" for n in (1, 2, 3)
    ]


def test_equal_seeds_give_equal_metrics_and_weights_in_another_process(runs, tiny_settings, tmp_path):
    folder, _ = runs
    run_tiny(tiny_settings, "fedcompress", tmp_path / "again")

    def metrics(path):
        rows = csv.DictReader((path / "metrics.csv").read_text().splitlines())
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]

    assert metrics(tmp_path / "again") == metrics(folder / "fedcompress")
    first, second = (
        tf.keras.models.load_model(path / "model.keras") for path in (folder / "fedcompress", tmp_path / "again")
    )
    for left, right in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_fedavg_is_its_own_reference_and_fedcompress_sends_less(runs):
    folder, _ = runs
    fedavg, fedcompress = (json.loads((folder / m / "summary.json").read_text()) for m in ("fedavg", "fedcompress"))
    assert fedavg["communication_ratio"] == 1.0
    assert fedavg["uplink_bytes"] + fedavg["downlink_bytes"] == fedavg["fedavg_bytes"] == fedcompress["fedavg_bytes"]
    sent = fedcompress["uplink_bytes"] + fedcompress["downlink_bytes"]
    assert fedcompress["communication_ratio"] == pytest.approx(fedavg["fedavg_bytes"] / sent, abs=1e-3)
    assert fedcompress["communication_ratio"] > 6


def test_the_saved_model_needs_no_code_of_ours_and_is_palettized(runs, tiny_npz):
    folder, _ = runs
    code = f"""
import sys, numpy as np, tensorflow as tf
model = tf.keras.models.load_model({str(folder / "fedcompress" / "model.keras")!r})
data = np.load({str(tiny_npz)!r})
model.compile(loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
loss, accuracy = model.evaluate(data["x_test"] / np.float32(255), data["y_test"], verbose=0)
kernels = [v.numpy() for v in model.trainable_variables if v.shape.rank == 4]
print(accuracy, max(len(np.unique(kernel)) for kernel in kernels), "tfc" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True)
    accuracy, distinct, imported = done.stdout.split()
    summary = json.loads((folder / "fedcompress" / "summary.json").read_text())
    assert float(accuracy) == pytest.approx(summary["final_accuracy"], abs=1e-5)
    assert int(distinct) <= 8 and imported == "False"


def test_compare_prints_a_table_and_writes_a_self_contained_report(runs, tmp_path):
    folder, _ = runs
    outputs = ["--html", tmp_path / "report.html", "--figures", tmp_path / "figures"]
    done = tfc("compare", folder / "fedavg", folder / "fedcompress", *outputs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n| fed") == 4 and "1.00x" in done.stdout
    html = (tmp_path / "report.html").read_text()
    parsed = assert_well_formed(html)
    assert len(parsed.figures) == 8 and "min_clusters = 4" in html  # rounds, bytes, hours, clusters, scores, partition
    assert len(list((tmp_path / "figures").glob("*.png"))) == 6


def test_a_damaged_clients_csv_is_refused(runs, tmp_path, capsys):
    folder, _ = runs
    for name in ("config.toml", "metrics.csv", "summary.json"):
        (tmp_path / name).write_bytes((folder / "fedavg" / name).read_bytes())
    assert read_run(tmp_path).class_counts == ()  # as runs of older versions
    for content in ("client,class_0\n0,many\n", "client,class_0\n0,1\n1,2,3\n"):
        (tmp_path / "clients.csv").write_text(content)
        assert main(["compare", str(tmp_path)]) == 1
        assert "clients.csv: not the table of clients' examples" in capsys.readouterr().err


def test_an_existing_run_is_kept_unless_forced(runs, tiny_settings):
    folder, _ = runs
    before = (folder / "fedavg" / "metrics.csv").read_bytes()
    done = tfc("run", "demo", *sets(tiny_settings), "--out", folder / "fedavg")
    assert done.returncode == 1
    assert "already exists: choose another --out, or replace it with --force" in done.stderr
    assert (folder / "fedavg" / "metrics.csv").read_bytes() == before


def test_a_refused_run_leaves_the_old_one(runs, tiny_settings):
    folder, _ = runs
    before = (folder / "fedavg" / "metrics.csv").read_bytes()
    settings = [*sets(tiny_settings), "--set", "data.data_dir=/no"]
    done = tfc("run", "demo", *settings, "--out", folder / "fedavg", "--force")
    assert done.returncode == 1 and "/no: not a readable NPZ" in done.stderr
    assert (folder / "fedavg" / "metrics.csv").read_bytes() == before


def test_force_replaces_runs_only(tmp_path, tiny_settings):
    (tmp_path / "thesis.txt").write_text("mine")
    done = tfc("run", "demo", *sets(tiny_settings), "--out", tmp_path, "--force")
    assert done.returncode == 1 and "is not a run" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "words,message",
    [
        (["run", "nothing"], "no preset and no file named 'nothing'"),
        (["run", "demo", "--set", "rounds=0"], "rounds must be at least 1; found 0"),
        (["run", "demo", "--set", "data.num_clients=4001"], "the data set has 4000"),
        (["run", "demo", "--set", "data.dataset=npz", "--set", "data.data_dir=/no.npz"], "/no.npz: not a readable NPZ"),
        (["run", "demo", "--set", "server.ood_dir=/nowhere"], "server.ood_dir=/nowhere is no folder"),
        (["compare", "/nowhere"], "/nowhere: config.toml is missing: it is not a run's folder"),
        (["data", "demo", "--out", "x", "--calibration-examples", "0"], "must be between 1 and 4000; found 0"),
        (["data", "demo", "--out", "/dev/null/x"], "/dev/null"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(words, message, tmp_path):
    done = tfc(*words, cwd=tmp_path)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_damaged_runs_are_refused(runs, tmp_path, capsys):
    folder, _ = runs
    for name in ("config.toml", "metrics.csv", "summary.json"):
        (tmp_path / name).write_bytes((folder / "fedavg" / name).read_bytes())
    (tmp_path / "metrics.csv").write_text("round,accuracy\n1,not a number\n")
    assert main(["compare", str(tmp_path)]) == 1
    assert "metrics.csv: not a run's rows of rounds: it lacks loss" in capsys.readouterr().err
    (tmp_path / "metrics.csv").write_bytes((folder / "fedavg" / "metrics.csv").read_bytes())
    (tmp_path / "summary.json").write_text("{}")
    assert main(["compare", str(tmp_path)]) == 1
    assert "summary.json: not a run's summary of this version: lacks method, rounds" in capsys.readouterr().err
    (tmp_path / "summary.json").unlink()
    assert main(["compare", str(tmp_path)]) == 1
    assert "summary.json is missing: it is not finished" in capsys.readouterr().err


def test_without_tff_a_run_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['tensorflow_federated'] = None; from tfc.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, "run", "demo"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "tensorflow_federated not installed: run 'pip install --no-deps -r requirements.txt'" in line


def test_presets_are_listed_shown_and_explained(capsys):
    assert main(["presets"]) == 0
    listed = capsys.readouterr().out
    assert "demo" in listed and "fashion-resnet8" in listed
    assert main(["presets", "demo"]) == 0
    assert "[clustering]" in capsys.readouterr().out
    assert main(["presets", "--keys"]) == 0
    assert "clustering.patience = 2" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "presets", "compare", "data"])
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"example:\n  tfc {command}" in capsys.readouterr().out


def test_data_for_devices_comes_from_the_right_parts(tmp_path, tiny_npz, tiny_settings):
    assert main(["data", "demo", *sets(tiny_settings), "--out", str(tmp_path), "--calibration-examples", "20"]) == 0
    source = np.load(tiny_npz)
    calibration, test = np.load(tmp_path / "calibration.npz"), np.load(tmp_path / "test.npz")
    np.testing.assert_allclose(test["x"], source["x_test"] / np.float32(255), atol=1e-7)
    np.testing.assert_array_equal(test["y"], source["y_test"])
    train = {image.tobytes() for image in (source["x_train"] / np.float32(255)).astype(np.float32)}
    assert calibration["x"].dtype == np.float32 and len(calibration["x"]) == 20
    rounded = {(np.round(image * 255) / np.float32(255)).astype(np.float32).tobytes() for image in calibration["x"]}
    assert rounded <= train
    assert not Path(tmp_path / "x").exists()


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_partition_that_can_not_work_is_refused_before_tensorflow_is_loaded(tmp_path, command):
    words = [command, "demo", "--set", "data.examples_per_client=20000", "--out", str(tmp_path / "out")]
    script = (
        f"import sys; from tfc.cli import main; code = main({words!r}); "
        "loaded = {'tensorflow', 'tensorflow_federated'} & set(sys.modules); "
        "sys.exit(f'loaded {loaded}' if loaded else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert (
        done.stderr.count("\n") == 1
        and "5 clients with 20000 examples each need 100000 training examples" in done.stderr
    )
    assert not (tmp_path / "out").exists()

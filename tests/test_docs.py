"""What the documents tell users to type is typed here: `tfc` and `edge` commands, and Python blocks, at reduced size.

Training happens once, in a tiny run; where a document trains, its words are parsed and its configuration is checked,
and a copy of that run takes the place of the result. Install lines and make targets are left out.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_files import watch_recordings
from palettized_models import SHAPE, plain

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUICK = ["--min-runs", "20", "--min-seconds", "0"]


def steps(path):
    """(kind, text) of everything to be done, in order: `python` blocks and lines that start with tfc or edge."""
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), re.M | re.S):
        if language == "python":
            found.append(("python", block))
            continue
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"\s{2,}#.*$", "", line).strip()
            if command.startswith(("tfc ", "edge ")):
                found.append(("command", command))
    return found


@pytest.fixture(scope="module")
def template(worker, tiny_settings, tmp_path_factory):
    """A tiny recorded run."""
    from tfc import config
    from tfc.simulation.loop import run

    folder = tmp_path_factory.mktemp("template") / "run"
    run(config.load("demo", [*tiny_settings, "rounds=2"]), folder, progress=False, record_payloads=True)
    return folder


@pytest.fixture(scope="module")
def files(template, tmp_path_factory):
    """The files that documents speak of, by the names that they have there."""
    from edge.conversion.variants import export
    from edge.measuring.bench import bench_files
    from edge.measuring.interleaving import BenchSettings

    folder = tmp_path_factory.mktemp("files")
    model = plain()
    for name in ("runs/demo/fedcompress", "runs/mine", "runs/mine-fedavg", "runs/reference/as-published-seed0"):
        shutil.copytree(template, folder / name)
    model.save(folder / "my.keras")
    rng = np.random.default_rng(0)
    x, y = rng.random((60, *SHAPE), np.float32), rng.integers(0, 4, 60)
    package = folder / "packages" / "seglearn"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    np.save(package / "data" / "watch_dataset.npy", watch_recordings(steps=400))
    for name in ("test", "train"):
        np.savez(folder / f"{name}.npz", x=x, y=y)
    for run in ("demo/fedcompress", "mine"):
        model.save(folder / "runs" / run / "model.keras")
        np.savez(folder / "runs" / run / "calibration.npz", x=x)
    for out in ("out", "runs/mine/edge"):
        export(folder / "my.keras", folder / out, ("f32", "int8", "lut", "packed"), folder / "train.npz", "model")
    shutil.copy(folder / "out" / "model-f32.tflite", folder / "vendor.tflite")
    for name in ("model-f32.tflite", "model-int8.tflite", "old-int8.tflite", "new-int8.tflite"):
        shutil.copy(folder / "out" / f"model-{name.partition('-')[2]}", folder / name)
    result = bench_files([folder / "model-int8.tflite"], settings=BenchSettings(min_runs=20, min_seconds=0, slices=2))
    for name in ("laptop", "pi"):
        (folder / f"{name}.json").write_text(json.dumps(result))
    return folder


def type_command(command, template, monkeypatch):
    """Runs one command as its program would; returns the exit code."""
    from edge.cli import build_parser as edge_parser
    from edge.cli import main as edge
    from tfc.cli import build_parser as tfc_parser
    from tfc.cli import main as tfc
    from tfc.simulation import configured_data
    from tfc.simulation import loop as simulation
    from tfc.simulation.folder import read_run

    program, *words = (
        name
        for word in shlex.split(command)
        for name in (sorted(map(str, Path().glob(word))) if "*" in word else [word])
    )
    words = words[: words.index(">")] if ">" in words else words
    if "--print-completion" in words:
        with pytest.raises(SystemExit) as ended:
            (edge if program == "edge" else tfc)(words)
        return ended.value.code
    if "--host" in words:  # tested with a real server in test_remote.py
        edge_parser().parse_args(words)
        return 0
    if words[0] == "worker":  # serves until Ctrl-C; tested in test_several_machines.py
        tfc_parser().parse_args(words)
        return 0

    def copied(config, out, **options):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(template, out)
        return read_run(out)

    monkeypatch.setattr(simulation, "run", copied)
    monkeypatch.setattr(configured_data, "refuse_impossible_clients", lambda config: None)  # data that are not here
    return (edge if program == "edge" else tfc)([*words, *(QUICK if words[0] == "bench" else [])])


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if steps(path)], ids=lambda path: path.stem)
def test_everything_in_a_document_works(path, files, template, tmp_path, monkeypatch, capfd):
    shutil.copytree(files, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(tmp_path / "here" / "packages"))
    for kind, text in steps(path):
        if kind == "python":
            code = re.sub(r"^ROUNDS, (.*) = \d+, ", r"ROUNDS, \1 = 1, ", text, flags=re.M)
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        else:
            text = text.replace("benchmarks/sweeps", str(ROOT / "benchmarks" / "sweeps"))
            assert type_command(text, template, monkeypatch) == 0, (text, capfd.readouterr().err[-2000:])


def test_documents_have_steps():
    counts = {path.name: len(steps(path)) for path in DOCUMENTS}
    assert counts["README.md"] > 5 and counts["tutorial.md"] == 3 and sum(counts.values()) > 30


def test_links_between_documents_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name}: {target}"

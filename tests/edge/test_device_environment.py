"""This package's wheel where nothing else of it is: on devices with an extra, on a workstation with the pinned list."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest
from programs import PYTHONS, python

import edge

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def environment(folder, interpreter, wheel, extra):
    """An empty environment with the wheel in it; its folder of programs."""
    subprocess.run([interpreter, "-m", "venv", folder], check=True)
    words = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*words, f"{wheel}[{extra}]" if extra else wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.mark.parametrize(
    "version", [pytest.param(each, marks=() if each == HERE else pytest.mark.system) for each in PYTHONS]
)
def test_device_commands_run_with_numpy_and_an_interpreter_alone(version, exported, wheel, tmp_path):
    programs = environment(tmp_path / "venv", python(version), wheel, "litert")

    def run(*words):
        return subprocess.run([programs / words[0], *words[1:]], capture_output=True, text=True, cwd=tmp_path)

    listed = run("python", "-m", "pip", "list", "--format=freeze").stdout
    assert "fedcompress" in listed and "tensorflow" not in listed.lower()
    variants = [exported / f"model-{end}" for end in ("int8.tflite", "lut.tflite", "int8.tflite.packed")]
    patch, new = tmp_path / "update.patch", tmp_path / "new.tflite"
    quick = ["--min-runs", "20", "--min-seconds", "0"]
    for words in (
        ["inspect", *variants],
        ["verify", *variants[:2], "--runtime", "litert"],
        ["verify", variants[0], variants[2]],
        ["pack", variants[0], "--out", tmp_path / "m.packed"],
        ["unpack", tmp_path / "m.packed", "--out", tmp_path / "m.tflite"],
        ["patch", "make", variants[0], tmp_path / "m.tflite", "--out", patch],
        ["patch", "apply", variants[0], patch, "--out", new],
        ["bench", *variants, *quick, "--data", exported / "test.npz", "--json", "b.json", "--html", "b.html"],
        ["compare", "b.json", "b.json"],
    ):
        done = run("edge", *words)
        assert done.returncode == 0, done.stderr
    assert new.read_bytes() == variants[0].read_bytes()
    assert "Accuracy against latency" in (tmp_path / "b.html").read_text()
    done = run("edge", "doctor")
    found = {line[5:33].strip(): line[:3].strip() for line in done.stdout.splitlines()}
    assert done.returncode == 0 and found["bench, verify"] == found["--runtime litert"] == "yes"
    assert found["export"] == found["--runtime tflm"] == found["tfc run, tfc sweep"] == "no"
    assert "pip install --pre tflite-micro" in done.stdout
    needs_tensorflow = {name for name, module in edge._PUBLIC.items() if module.startswith("edge.conversion")}
    code = (
        "import tfc, edge; tfc.encode, tfc.decode, tfc.Palette, "
        f"[getattr(edge, name) for name in set(edge.__all__) - {needs_tensorflow}]"
    )
    done = run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    for words in (["run", "demo"], ["presets", "demo"], ["data", "demo", "--out", "x"]):
        done = run("tfc", *words)
        assert done.returncode == 1 and "pip install --no-deps -r requirements.txt" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    done = run("edge", "export", exported / "model.keras", "--out", tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: export needs TensorFlow")


@pytest.mark.system
@pytest.mark.parametrize("version", ["3.10", "3.11"])
def test_the_other_interpreter_needs_numpy_1_and_says_so(version, exported, wheel, tmp_path):
    programs = environment(tmp_path / "venv", python(version), wheel, "tflite")
    words = [programs / "edge", "bench", exported / "model-int8.tflite", "--min-runs", "20", "--min-seconds", "0"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and "tflite-runtime 2.14.0" in done.stdout, done.stderr
    install = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "numpy>=2"]
    subprocess.run(install, check=True, capture_output=True)
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "crashes with NumPy 2" in done.stderr and "pip install 'numpy<2'" in done.stderr


def test_without_an_interpreter_the_rest_works(exported, wheel, tmp_path):
    programs = environment(tmp_path / "venv", sys.executable, wheel, "")
    words = [programs / "edge", "inspect", exported / "model-lut.tflite"]
    assert subprocess.run(words, capture_output=True).returncode == 0
    done = subprocess.run([programs / "edge", "bench", words[2]], capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "no TFLite interpreter is installed: pip install ai-edge-litert" in done.stderr


@pytest.fixture(scope="module")
def workstation(wheel, tmp_path_factory):
    """As after pip install --no-deps with requirements.txt and then the wheel: this environment's packages."""
    folder = tmp_path_factory.mktemp("workstation") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # As a path, so that the .pth file of an editable install in there is not read.
    Path(packages, "pinned.pth").write_text("\n".join(site.getsitepackages()))
    words = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*words, "--force-reinstall", wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def on(workstation, folder, *words):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [workstation / words[0], *map(str, words[1:])], capture_output=True, text=True, cwd=folder, env=environment
    )


def test_a_workstation_needs_the_pinned_list_and_the_wheel(workstation, exported, tmp_path):
    where = on(workstation, tmp_path, "python", "-c", "import tfc, edge; print(tfc.__file__, edge.__file__)")
    assert all(Path(path).is_relative_to(workstation.parent) for path in where.stdout.split())
    assert "demo" in on(workstation, tmp_path, "tfc", "presets").stdout
    done = on(workstation, tmp_path, "edge", "export", exported / "model.keras", "--out", "out", "--variants", "int8")
    assert done.returncode == 0 and (tmp_path / "out" / "model-int8.tflite").is_file(), done.stderr
    done = on(workstation, tmp_path, "tfc", "data", "demo", "--out", "data")
    assert done.returncode == 0 and (tmp_path / "data" / "test.npz").is_file(), done.stderr


@pytest.mark.slow
def test_a_workstation_runs_and_reports_from_the_wheel(workstation, tiny_settings, tmp_path):
    settings = [word for text in tiny_settings for word in ("--set", text)]
    done = on(workstation, tmp_path, "tfc", "run", "demo", *settings, "--out", "run")
    assert done.returncode == 0, done.stderr
    done = on(workstation, tmp_path, "tfc", "compare", "run", "--html", "report.html")
    assert done.returncode == 0 and "<html" in (tmp_path / "report.html").read_text(), done.stderr

"""Files that a current Keras 3 writes, in an environment of its own: equal outputs here, trained and exported."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import missing

from edge.cli import main as edge
from edge.running.loaded_model import TfliteModel
from edge.running.runtime import find_runtime
from tfc.cli import main as tfc
from tfc.keras_files.loading import load_model

pytestmark = pytest.mark.system

SCRIPT = Path(__file__).with_name("save_with_keras3.py")
MODELS = ("images", "sequences", "signals", "adapted", "masked", "small")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder with every model's file, its inputs and outputs. Its NumPy backend needs JAX, too."""
    folder = tmp_path_factory.mktemp("keras3")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    words = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*words, "keras==3.*", "numpy", "h5py", "jax[cpu]"], capture_output=True, text=True)
    if done.returncode:
        missing(f"Keras 3 cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([python, SCRIPT, folder], check=True, env=outside | {"KERAS_BACKEND": "jax"}, cwd=folder)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_equal(name, saved):
    model = load_model(saved / f"{name}.keras")
    with np.load(saved / f"{name}.npz") as expected:
        found = np.asarray(model(expected["x"], training=False))
        np.testing.assert_allclose(found, expected["y"], rtol=1e-5, atol=1e-5)
        assert np.ptp(expected["y"]) > 0.01  # the inputs matter
        assert len(model.trainable_weights) == expected["trainable"]


def test_it_exports(saved, tmp_path):
    assert edge(["export", str(saved / "small.keras"), "--out", str(tmp_path), "--variants", "f32"]) == 0
    model = TfliteModel(tmp_path / "small-f32.tflite", find_runtime("litert"))
    with np.load(saved / "small.npz") as expected:
        np.testing.assert_allclose(model.predict(expected["x"]), expected["y"], rtol=1e-5, atol=1e-5)


def test_it_trains(saved, worker, tiny_settings, tmp_path):
    sets = [*tiny_settings, "method=fedavg", "rounds=2", "model.initial=own", f"model.name={saved / 'small.keras'}"]
    words = [word for each in sets for word in ("--set", each)]
    assert tfc(["run", "demo", *words, "--out", str(tmp_path / "run"), "--quiet"]) == 0
    before, after = load_model(saved / "small.keras"), load_model(tmp_path / "run" / "model.keras")
    assert after.count_params() == before.count_params()
    moved = [np.abs(a - b).max() for a, b in zip(before.get_weights(), after.get_weights(), strict=True)]
    assert all(0 < each < 10 for each in moved)

"""What texts and messages tell users to install can be installed: nothing asks an index for this package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

from tfc.base.version import __version__

ROOT = Path(__file__).parent.parent
PLACES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    *(path for package in ("edge", "tfc", "tools", "benchmarks") for path in sorted((ROOT / package).rglob("*.py"))),
]
ON_AN_INDEX = {"ai-edge-litert", "tflite-runtime", "tflite-micro", "shtab", "numpy<2", "zstandard", "brotli"} | {
    "seglearn==1.2.5",
    "nncodec==2.1.3",
    "flwr[simulation]==1.42.0",
    "tensorflow-cpu==2.21.0",
}
"""`test_an_index_has_them` asks one."""

WHEEL = f"fedcompress-{__version__}-py3-none-any.whl"
COMPUTED = {"failed", "{wanted[0].install}", ""}
"""What is no name: the next word of a sentence, or names that come from `edge.running.runtime`."""


def lines():
    """(file, first name after `pip install` and its options) of every line that is told."""
    for path in PLACES:
        for told in re.finditer(r"pip install ((?:--[\w-]+ )*)(-r )?[\"']?([^\s'`;,)]+)", path.read_text()):
            name = told[3].partition("\\n")[0]  # the end of a line in a program's text
            yield path.relative_to(ROOT).as_posix(), told[2], name.rstrip('.:"\\')


def test_every_line_names_what_can_be_installed():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = list(lines())
    assert len(found) >= 8
    for place, from_file, name in found:
        base, _, extra = name.partition("[")
        told = f"{place}: pip install {name}"
        if from_file:
            assert (ROOT / name).is_file(), told
        elif name in COMPUTED or name.startswith("-") or place == "edge/measuring/remote.py":
            continue
        elif extra and name not in ON_AN_INDEX:
            assert base in (".", WHEEL, f"dist/{WHEEL}") and extra.rstrip("]") in extras, told
        else:
            assert name in ON_AN_INDEX | {WHEEL}, told


def test_runtimes_are_told_by_names_that_an_index_has():
    from edge.running.runtime import RUNTIMES

    for runtime in RUNTIMES.values():
        names = [word.strip("'") for word in runtime.install.split() if not word.startswith("--")]
        assert set(names) <= ON_AN_INDEX


@pytest.mark.system
def test_an_index_has_them(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    for words in (
        ["ai-edge-litert"],
        ["tflite-runtime", "numpy<2"],
        ["--pre", "tflite-micro"],
        ["shtab", "zstandard", "brotli"],
        ["--no-deps", "seglearn==1.2.5"],
        ["--no-deps", "nncodec==2.1.3"],
        ["--no-deps", "flwr[simulation]==1.42.0", "tensorflow-cpu==2.21.0"],
    ):
        pip = [tmp_path / "venv" / "bin" / "python", "-m", "pip", "install", "--dry-run", "--quiet", *words]
        done = subprocess.run(pip, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

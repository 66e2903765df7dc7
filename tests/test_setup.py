"""The pinned list, the package's metadata, and what importing costs."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib
from check_platform import complaint

ROOT = Path(__file__).parent.parent
X86_64 = ("Linux", "x86_64", ("glibc", "2.36"))


@pytest.mark.parametrize(
    "module",
    [
        "tensorflow",
        "tensorflow_model_optimization",
        "tensorflow_federated",
        "numpy",
        "tflite_runtime.interpreter",
        "ai_edge_litert.interpreter",
    ],
)
def test_every_named_package_imports(module):
    importlib.import_module(module)


def test_the_pinned_list_is_complete_and_names_no_index():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = dict(re.match(r"([\w.-]+)==(\S+)", line).groups() for line in lines if re.match(r"[\w.-]+==", line))
    asked = re.findall(r"^([\w.-]+)[=>]", (ROOT / "requirements.in").read_text(), re.M)
    assert set(asked) <= set(pins)
    assert {"tensorflow", "tensorflow-federated", "tflite-runtime", "ai-edge-litert", "jaxlib"} <= set(pins)
    assert not [line for line in lines if line.startswith("-") or "://" in line]


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.txt")), ids=lambda path: path.name)
def test_every_pin_has_hashes_and_every_list_is_installed_with_them(path):
    if path.name == "requirements-overrides.txt":
        return
    entries = re.split(r"\n(?=[\w.-]+==)", path.read_text())[1:]
    assert entries and all("--hash=sha256:" in entry for entry in entries)
    assert path.with_suffix(".in").is_file(), "make lock writes it"
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    installs = [
        line for line in makefile.splitlines() if re.search(rf"-r {path.name}\b", line) and "pip install" in line
    ]
    assert installs and all("--require-hashes" in line and "--no-deps" in line for line in installs)


def test_every_exception_of_the_audit_says_why():
    lines = [line for line in (ROOT / "audit-exceptions.txt").read_text().splitlines() if line and line[0] != "#"]
    assert lines and all(re.fullmatch(r"(CVE|GHSA|PYSEC)-[\w-]+ [\w-]+: .{10,}", line) for line in lines)


def test_results_name_no_folder_of_the_machine_that_made_them():
    import record

    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        assert not re.findall(r"(?<![\w./~:-])/(?:\w[\w.-]*/)+\w*", path.read_text()), path
    assert record.relative(f"tfc run --out {ROOT}/runs/x") == "tfc run --out runs/x"
    assert record.relative(f"data {Path.home()}/sets") == "data ~/sets"


def test_the_base_dependency_is_numpy_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [re.match(r"[\w-]+", name).group() for name in project["dependencies"]] == ["numpy"]
    assert set(project["optional-dependencies"]) >= {"litert", "tflite"}
    assert "numpy<2" in project["optional-dependencies"]["tflite"]
    assert project["requires-python"] == ">=3.10"


@pytest.mark.parametrize(
    "package",
    ["tfc", "edge", "tfc.cli", "edge.cli", "edge.measuring.bench", "edge.running.runtime", "tfc.codec.message"],
)
def test_importing_starts_neither_tensorflow_nor_an_interpreter(package):
    heavy = ("tensorflow", "ai_edge_litert", "tensorflow_federated")
    code = f"import {package}, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_resolve():
    import tfc

    assert all(getattr(tfc, name) is not None for name in tfc.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tfc.nothing


@pytest.mark.parametrize(
    "platform,words",
    [
        (((3, 12, 1), *X86_64), "This is Python 3.12, but Python 3.11 is needed"),
        (((2, 7, 18), *X86_64), "This is Python 2.7"),
        (((3, 11, 7), "Linux", "aarch64", ("glibc", "2.36")), "This machine is Linux on aarch64"),
        (((3, 11, 7), "Darwin", "x86_64", ("", "")), "This machine is Darwin on x86_64"),
        (((3, 11, 7), "Linux", "x86_64", ("glibc", "2.28")), "C library is glibc 2.28"),
        (((3, 11, 7), "Linux", "x86_64", ("", "")), "C library is"),
    ],
)
def test_unfit_platforms_get_one_line(platform, words):
    line = complaint(*platform)
    assert words in line and "\n" not in line


def test_a_fit_platform_passes():
    assert complaint((3, 11, 7), *X86_64) is None
    done = subprocess.run([sys.executable, ROOT / "tools/check_platform.py"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

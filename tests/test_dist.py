"""Sdist and wheel: what is in them, and that the same files give the same bytes."""

import email
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from make_dist import main

import tfc

ROOT = Path(__file__).parent.parent
NOT_IN_THE_SDIST = {".gitignore", ".ci"}
GENERATED = {"PKG-INFO", "setup.cfg", "fedcompress.egg-info"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Both, built twice: the second time by somebody with other permissions, at another place."""
    if not (ROOT / ".git").exists():
        pytest.skip("the files of a distribution are those that git tracks, and this is no checkout")
    folders = [tmp_path_factory.mktemp("dist") for _ in range(2)]
    for folder, mask in zip(folders, (0o022, 0o077), strict=True):
        before = os.umask(mask)
        try:
            assert main([str(folder)]) == 0
        finally:
            os.umask(before)
    return folders


def only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def test_the_same_files_give_the_same_bytes(built):
    names = [sorted(path.name for path in folder.iterdir()) for folder in built]
    assert names[0] == names[1] and len(names[0]) == 2
    for name in names[0]:
        assert (built[0] / name).read_bytes() == (built[1] / name).read_bytes(), name


def test_the_sdist_holds_what_git_tracks_and_no_outputs(built):
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wanted = {name for name in filter(None, tracked.split("\0")) if (ROOT / name).is_file()}
    wanted = {name for name in wanted if name.partition("/")[0] not in NOT_IN_THE_SDIST}
    with tarfile.open(only(built[0], "*.tar.gz")) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert {name for name in names if name.partition("/")[0] not in GENERATED} == wanted
    assert {"tests", "docs", "notebooks", "benchmarks", "tools"} <= {name.partition("/")[0] for name in names}
    assert not {"runs", "build", "dist"} & {name.partition("/")[0] for name in names}


def test_the_wheel_holds_the_packages_and_says_what_it_is(built):
    with zipfile.ZipFile(only(built[0], "*.whl")) as wheel:
        names = set(wheel.namelist())
        (information,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        metadata = email.message_from_bytes(wheel.read(f"{information}/METADATA"))
    tracked = {
        str(path.relative_to(ROOT)) for package in ("tfc", "edge") for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }  # fmt: skip
    assert {name for name in names if ".dist-info/" not in name} == tracked
    assert {"tfc/py.typed", "edge/py.typed", "tfc/presets/demo.toml", "tfc/report/page.html.jinja"} <= names
    assert metadata["License-Expression"] == "Apache-2.0" and metadata["License-File"] == "LICENSE"
    assert f"{information}/licenses/LICENSE" in names
    assert set(metadata.get_all("Provides-Extra")) == {"litert", "tflite", "completion"}
    cited = (ROOT / "CITATION.cff").read_text()
    assert metadata["Version"] == tfc.__version__ and f"version: {tfc.__version__}\n" in cited
    for url in metadata.get_all("Project-URL"):
        assert url.partition(", ")[2].removeprefix("https://doi.org/") in cited


def test_outside_of_a_checkout_one_line_says_so(tmp_path, monkeypatch, capsys):
    import make_dist

    monkeypatch.setattr(make_dist, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert main([str(tmp_path / "dist")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "not a git checkout" in line
    assert not (tmp_path / "dist").exists()


@pytest.mark.system
def test_make_dist_builds_with_pinned_tools_alone(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    made = []
    for _ in range(2):
        done = subprocess.run(["make", "dist", f"PYTHON={sys.executable}"], cwd=clone, capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        made.append({path.name: path.read_bytes() for path in (clone / "dist").iterdir()})
    assert made[0] == made[1] and len(made[0]) == 2

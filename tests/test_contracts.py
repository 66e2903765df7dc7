"""The import contracts of pyproject.toml: kept by the packages as they are, and broken by a door that is opened."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parent.parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
NAMES = {contract["id"]: contract["name"] for contract in CONTRACTS}


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """The packages and what `make lint` needs to read their imports."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("tfc", "edge"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tools").mkdir()
    shutil.copy(ROOT / "tools/import_contracts.py", folder / "tools")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint_imports(folder):
    """Runs as `make lint` does, on wide lines: names of contracts are not broken up."""
    words = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    environment = {**os.environ, "COLUMNS": "300"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


def broken(done):
    return {id_ for id_, name in NAMES.items() if f"{name} BROKEN" in done.stdout}


def test_every_contract_is_kept(copied):
    done = lint_imports(copied)
    assert (done.returncode, broken(done)) == (0, set()), done.stdout
    assert all(f"{name} KEPT" in done.stdout for name in NAMES.values()), done.stdout + done.stderr


@pytest.mark.parametrize(
    "file,imported,contract",
    [
        ("tfc/codec/palette.py", "tfc.simulation.loop", "rooms-of-tfc"),
        ("tfc/methods/stc.py", "tfc.workers.local", "rooms-of-tfc"),
        ("edge/formats/packing.py", "edge.running.runtime", "rooms-of-edge"),
        ("edge/conversion/variants.py", "edge.running.runtime", "conversion"),
        ("edge/measuring/doctor.py", "tfc.methods", "edge-to-tfc"),
        ("edge/cli.py", "tfc.config", "edge-to-tfc"),
        ("tfc/simulation/folder.py", "edge.measuring.bench_table", "tfc-to-edge"),
        ("tfc/report/page.py", "edge.formats.packing", "tfc-to-edge"),
        ("tfc/base/table.py", "scipy", "ground-floor"),
        ("edge/running/runtime.py", "tensorflow", "ground-floor"),
        ("tfc/codec/palette.py", "tfc.codec.message", "circles"),
    ],
)
def test_an_opened_door_is_named(copied, file, imported, contract):
    path = copied / file
    content = path.read_text()
    path.write_text(f"{content}\nimport {imported}\n")
    try:
        done = lint_imports(copied)
    finally:
        path.write_text(content)
    assert done.returncode == 1
    assert contract in broken(done), done.stdout
    assert imported.rpartition(".")[2] in done.stdout


def test_a_new_room_asks_for_its_place(copied):
    room = copied / "tfc" / "attic"
    room.mkdir()
    (room / "__init__.py").write_text('"""A room that no contract knows."""\n')
    try:
        done = lint_imports(copied)
    finally:
        shutil.rmtree(room)
    assert "rooms-of-tfc" in broken(done) and "attic" in done.stdout

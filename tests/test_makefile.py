"""What a newcomer types: make targets and the README's commands."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def commands_in(text):
    """Lines of a text that call `tfc` or `edge`, joined where they continue."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        found = re.match(r"^\s*@?(?:\$\(BIN\)/)?(tfc|edge) (\S.*)$", line)
        if found:
            words = found.group(2).replace("$(DEMO)", "runs/demo")
            yield found.group(1), shlex.split(words, comments=True)


@pytest.mark.parametrize("name", ["README.md", "Makefile", "docs/results.md", "docs/model-files.md"])
def test_commands_in_texts_are_accepted_by_the_command_lines(name):
    import edge.cli
    import tfc.cli

    found = list(commands_in((ROOT / name).read_text()))
    assert found
    for program, words in found:
        # argparse ends the process where it refuses a word
        {"tfc": tfc.cli, "edge": edge.cli}[program].build_parser().parse_args(words)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_texts_have_no_dead_links_and_nothing_left_to_fill_in(path):
    text = path.read_text()
    assert not re.search(r"\b(RESULTS_\w+|TODO|TBD|FIXME)\b", text)
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (path.parent / link).exists(), link


def test_readme_quotes_the_measured_results():
    import json

    measured = json.loads((ROOT / "benchmarks" / "results" / "fashion-resnet8.json").read_text())
    for method, name in (("fedavg", "FedAvg"), ("fedcompress", "FedCompress")):
        mean = measured["methods"][method]["mean"]
        row = f"| {name} | {mean['last3_accuracy']:.4f} | {mean['uplink_bytes'] / 1e6:.2f} |"
        assert row in (ROOT / "README.md").read_text()


def test_make_help_lists_the_two_commands():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"demo", "test", "setup", "lint", "lock"} <= {line.split()[0] for line in done.stdout.splitlines()}


def test_a_wrong_python_is_refused_in_one_line(tmp_path):
    """A stand-in for an old interpreter: it reports 3.9 and runs the check as such."""
    fake = tmp_path / "python3.9"
    code = "import sys, runpy; sys.version_info = (3, 9, 0); runpy.run_path(sys.argv[1], run_name='__main__')"
    fake.write_text(f'#!/bin/sh\nexec "$(command -v python3.11 || command -v python3)" -c "{code}" "$@"\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", "setup", f"PYTHON={fake}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "This is Python 3.9, but Python 3.11 is needed" in errors[0]
    assert not (tmp_path / "venv").exists()

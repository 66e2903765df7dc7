"""Times per operator, from a file in the format of TensorFlow's benchmark tool (see recorded/README.md)."""

import sys
from pathlib import Path

import pytest

from edge.cli import main
from edge.measuring.operator_profile import OperatorTime, parse_profile
from tfc.base.errors import EdgeError

RECORDED = Path(__file__).parent / "recorded" / "benchmark_model.csv"
QUICK = ["--min-runs", "20", "--min-seconds", "0"]


@pytest.fixture
def tool(tmp_path):
    """A program that takes the tool's words, notes them, and writes the recorded file."""
    path = tmp_path / "benchmark_model"
    path.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nfrom pathlib import Path\n"
        "given = dict(word[2:].split('=', 1) for word in sys.argv[1:])\n"
        "Path(__file__).with_name('words.txt').write_text('\\n'.join(sys.argv[1:]))\n"
        "assert Path(given['graph']).read_bytes()[4:8] == b'TFL3'\n"
        f"shutil.copy({str(RECORDED)!r}, given['profiling_output_csv_file'])\n"
    )
    path.chmod(0o755)
    return path


def test_operators_of_the_runs_in_their_order():
    found = parse_profile(RECORDED.read_text())
    assert [operator.kind for operator in found] == ["QUANTIZE", "CONV_2D", "CONV_2D", "FULLY_CONNECTED"]
    assert found[1] == OperatorTime("CONV_2D", "[model/relu/Relu;model/conv/Conv2D, model/bn]:1", 0.1, 1)
    assert sum(operator.average_ms for operator in found) == pytest.approx(0.2)


def test_the_older_format_has_one_column_more():
    text = (
        RECORDED.read_text().replace("node type, first,", "node type, start, first,").replace("L, 0.012", "L, 0, 0.012")
    )
    text = text.replace("QUANTIZE, 0.012", "QUANTIZE, 0.0, 0.012").replace("CONV_2D, 0.", "CONV_2D, 0.5, 0.")
    text = text.replace("FULLY_CONNECTED, 0.03, 0.03, 15%, 100%", "FULLY_CONNECTED, 0.5, 0.03, 0.03, 15%, 100%")
    assert parse_profile(text) == parse_profile(RECORDED.read_text())


@pytest.mark.parametrize(
    "text,message",
    [
        ("", "no table"),
        ("hello\nworld", "no table"),
        (RECORDED.read_text().partition("Operator-wise")[0], "no table"),
        (RECORDED.read_text().replace("CONV_2D, 0.11, 0.1,", "CONV_2D, 0.11, fast,"), "damaged row"),
        (
            "\n".join(RECORDED.read_text().partition("Operator-wise")[2].join(["Operator-wise", ""]).splitlines()[:3]),
            "lists no",
        ),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(EdgeError, match=message):
        parse_profile(text)


def test_bench_shows_table_and_chart(tool, exported, tmp_path, capsys):
    words = ["bench", str(exported / "model-lut.tflite"), *QUICK, "--benchmark-model", str(tool)]
    assert main([*words, "--html", str(tmp_path / "b.html"), "--threads", "2", "--kernels", "builtin"]) == 0
    assert "model-lut.tflite, per operator" in capsys.readouterr().out
    page = (tmp_path / "b.html").read_text()
    assert "Operators of model-lut.tflite" in page and "0.160 ms, 80%" in page
    asked = (tmp_path / "words.txt").read_text().splitlines()
    assert {"--num_threads=2", "--use_xnnpack=false", "--num_runs=20", "--enable_op_profiling=true"} <= set(asked)


def test_a_tool_that_fails_is_one_line(exported, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'no such delegate' >&2\nexit 3\n")
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\n")
    for path in (broken, silent):
        path.chmod(0o755)
    for tool, message in (
        (broken, "(exit code 3: no such delegate)"),
        (silent, "has no table"),
        (tmp_path / "none", "can't be run: No such file"),
    ):
        assert main(["bench", str(exported / "model-int8.tflite"), "--benchmark-model", str(tool)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: --benchmark-model {tool}") and message in line

"""What the two command lines have in common: help, examples, flags, exit codes, completion, quiet pipes."""

import argparse
import os
import re
import shlex
import subprocess
import sys

import pytest
from programs import in_a_terminal

import edge.cli
import tfc.cli
from tfc.base.command_line import SHELLS, exit_code
from tfc.base.errors import RunInterruptedError, TfcError

PROGRAMS = {"tfc": tfc.cli, "edge": edge.cli}


def parsers():
    """(words, parser) of both programs and all their commands."""

    def below(words, parser):
        yield words, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, each in action.choices.items():
                    yield from below(f"{words} {name}", each)

    for program, module in PROGRAMS.items():
        yield from below(program, module.build_parser())


def examples(parser):
    """Commands of a parser's epilog, without what a shell makes of the line."""
    block = re.search(r"examples?:\n((?:  .*\n?)+)", parser.epilog or "")
    for line in block.group(1).splitlines() if block else ():
        for command in re.sub(r"\s{2,}#.*$", "", line.strip()).split("&&"):
            words = shlex.split(command.partition(">")[0])
            if words[0] in PROGRAMS:
                yield words


@pytest.mark.parametrize("words,parser", parsers(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_help_of_every_command_shows_examples_that_are_understood(words, parser):
    found = list(examples(parser))
    assert any(" ".join(example).startswith(words) for example in found), "an example of this command"
    for example in found:
        PROGRAMS[example[0]].build_parser().parse_args(example[1:])  # ends the process where it refuses a word


def test_equal_things_have_equal_names_and_forms():
    forms = {}
    for words, parser in parsers():
        for action in parser._actions:
            for name in action.option_strings:
                if name in (
                    "--json",
                    "--csv",
                    "--html",
                    "--latex",
                    "--quiet",
                    "--verbose",
                    "--seed",
                    "--force",
                    "--set",
                ):
                    forms.setdefault(name, {})[words] = (type(action).__name__, action.type, action.metavar)
    for name, uses in forms.items():
        assert len(set(uses.values())) == 1, (name, uses)
    loud = {words for words in forms["--quiet"]}
    assert loud == set(forms["--verbose"]) == {"tfc run", "tfc sweep", "edge export", "edge verify", "edge bench"}


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    "error,code,line",
    [
        (TfcError("no such thing"), 1, "error: no such thing"),
        (FileNotFoundError(2, "No such file or directory", "here"), 1, "error: here: No such file or directory"),
        (ModuleNotFoundError("no", name="tensorflow"), 1, "error: tensorflow not installed: install it"),
        (MemoryError(), 1, "error: not enough memory; is the file damaged?"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RunInterruptedError("round 1 is kept"), 130, "interrupted: round 1 is kept"),
    ],
)
def test_errors_become_one_line_and_an_exit_code(error, code, line, capsys):
    assert exit_code(raising(error), TfcError, "install it") == code
    assert capsys.readouterr().err == line + "\n"


def test_errors_of_the_program_itself_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_code(raising(ZeroDivisionError()), TfcError, "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_exit_codes_are_in_the_help_and_true(program, capsys):
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[program].main(["--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "exit codes: 0 done, 1 refused with one line on standard error, 2 invalid arguments" in text
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[program].main(["nonsense"])
    assert ended.value.code == 2
    assert PROGRAMS[program].main(["compare", "/nowhere"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: /nowhere")


def python(*words, **options):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, **options)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_reader_that_has_seen_enough_is_no_error(program, tmp_path):
    """As in `tfc presets --keys | head -1`."""
    words = {"tfc": "presets --keys", "edge": "doctor"}[program]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-u", "-m", program, *words.split()], stdout=closed, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1 and done.stderr == ""


@pytest.mark.parametrize(
    "typed,expected",
    [
        ("tfc com", {"compare"}),
        ("tfc run --rec", {"--record-payloads"}),
        ("edge patch ", {"make", "apply"}),
        ("edge verify --kernels ", {"xnnpack", "builtin", "reference"}),
        ("edge inspect mod", {"model-int8.tflite"}),
        ("edge export --out o", {"out"}),
    ],
)
def test_bash_completes(typed, expected, tmp_path):
    (tmp_path / "model-int8.tflite").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "other.txt").touch()
    words = typed.split(" ")
    script = python("-m", words[0], "--print-completion", "bash")
    assert script.returncode == 0, script.stderr
    typed_words = " ".join(map(shlex.quote, words))
    ask = f"COMP_WORDS=({typed_words}); COMP_CWORD={len(words) - 1}; _shtab_{words[0]}; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["bash", "-c", f"{script.stdout}\n{ask}"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert set(done.stdout.split()) == expected, done.stderr


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_shell_gets_a_script_with_every_command(program, shell, capsys):
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[program].main(["--print-completion", shell])
    assert ended.value.code == 0
    script = capsys.readouterr().out
    assert all(
        f" {name}" in script or f"'{name}" in script or f'"{name}' in script
        for name in ("compare", "doctor")[: 1 + (program == "edge")]
    )


def test_without_shtab_completion_says_what_to_install():
    code = "import sys; sys.modules['shtab'] = None; from edge.cli import main; main(['--print-completion', 'bash'])"
    done = python("-c", code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: shtab not installed: pip install shtab\n"


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    from palettized_models import plain

    from edge import export

    folder = tmp_path_factory.mktemp("model")
    plain().save(folder / "model.keras")
    return export(folder / "model.keras", folder, ("f32",)).paths["f32"]


def bench(file, *more):
    return [sys.executable, "-m", "edge", "bench", str(file), "--min-runs", "20", "--min-seconds", "0", *more]


def test_nothing_but_text_goes_into_pipes(model_file):
    for more, lines in ((), False), (["--verbose"], True), (["--quiet"], False):
        done = subprocess.run(bench(model_file, *more), capture_output=True, text=True)
        assert done.returncode == 0
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout + done.stderr)
        assert ("INFO: latency: slice 20 of 20" in done.stderr) == lines


def test_a_terminal_gets_a_bar_unless_asked_for_quiet(model_file):
    for more, bar in ((), True), (["--quiet"], False):
        done, shown = in_a_terminal(bench(model_file, *more))
        assert done.returncode == 0 and ("\rlatency [" in shown) == bar

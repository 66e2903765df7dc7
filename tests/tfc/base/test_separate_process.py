"""A function in a process of its own: what it returns, what it raises, and what is said of one that crashes."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfc.base.errors import ConfigError
from tfc.base.separate_process import ProcessCrashedError, call_apart, cause_of_end

WORK = """
import errno, logging, os, signal
from tfc.base.errors import ConfigError

def add(request, say):
    say("adding")
    print("a library's chatter")
    return {"sum": sum(request["numbers"]), "process": os.getpid()}

def refuse(request, say):
    raise ConfigError("no such key")

def crash(request, say):
    say("computing")
    os.kill(os.getpid(), request["signal"])

def leave(request, say):
    os._exit(3)

def missing(request, say):
    import no_such_module_at_all

def read(request, say):
    return open(request["path"]).read()

def log(request, say):
    logging.getLogger("edge").info("a step")
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "apart_work.py").write_text(WORK, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name, **request: call_apart(f"apart_work:{name}", request, files=[request.get("path", "")])


def test_a_result_comes_back_and_prints_do_not_disturb_it(work, capfd):
    found = work("add", numbers=[1, 2, 3.5])
    assert found["sum"] == 6.5 and found["process"] != os.getpid()
    out, err = capfd.readouterr()
    assert not out and "a library's chatter" in err


def test_errors_are_raised_as_they_were(work, tmp_path):
    with pytest.raises(ConfigError, match="no such key"):
        work("refuse")
    with pytest.raises(ModuleNotFoundError) as found:
        work("missing")
    assert found.value.name == "no_such_module_at_all"
    with pytest.raises(FileNotFoundError) as missing:
        work("read", path=str(tmp_path / "nothing"))
    assert missing.value.filename == str(tmp_path / "nothing")


@pytest.mark.parametrize(
    "number,words",
    [
        (signal.SIGSEGV, "Segmentation fault"),
        (signal.SIGABRT, "Aborted"),
        (signal.SIGKILL, "killed, perhaps for want of memory"),
    ],
)
def test_a_crash_is_an_error_that_names_the_stage(work, number, words):
    with pytest.raises(ProcessCrashedError) as found:
        work("crash", signal=int(number))
    assert (found.value.stage, found.value.cause) == ("computing", words)
    assert str(found.value) == f"crashed while computing ({words})"


def test_an_end_without_an_answer_is_a_crash(work):
    with pytest.raises(ProcessCrashedError, match=r"crashed \(exit code 3\)"):
        work("leave")
    assert cause_of_end(3) == "exit code 3"


def test_an_open_file_of_this_process_is_handed_on(work, tmp_path):
    (tmp_path / "text").write_text("handed on", encoding="utf-8")
    with (tmp_path / "text").open() as opened:
        assert work("read", path=f"/dev/fd/{opened.fileno()}") == "handed on"


def test_the_log_is_told_where_the_parent_tells_its_own(work, capfd, monkeypatch):
    work("log")
    assert "a step" not in capfd.readouterr().err
    logger = logging.getLogger("edge")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    work("log")
    assert "INFO: a step" in capfd.readouterr().err
    monkeypatch.undo()
    logger.manager._clear_cache()


def test_the_process_ends_with_its_parent_however_that_ends(tmp_path, monkeypatch):
    (tmp_path / "apart_work.py").write_text(
        "import os, pathlib, time\n"
        "def wait(request, say):\n"
        "    pathlib.Path(request['path']).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n",
        encoding="utf-8",
    )
    told = tmp_path / "number"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = {[str(tmp_path), *sys.path]!r}\n"
            "from tfc.base.separate_process import call_apart\n"
            f"call_apart('apart_work:wait', {{'path': {str(told)!r}}})",
        ]
    )
    deadline = time.monotonic() + 30
    while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int(told.read_text())
    parent.kill()
    parent.wait()
    while time.monotonic() < deadline and Path(f"/proc/{child}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()

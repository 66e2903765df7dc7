"""A function in a Python process of its own: a crash of native code ends that process alone, and becomes an error.

The process is told its work in one line of JSON on standard input. In lines of JSON on standard output it says what it
begins, and in the last one what it did. Progress, warnings and the log go to standard error, which it shares.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from tfc.base import errors
from tfc.base.errors import FedCompressError

_OPEN_FILE = re.compile(r"/dev/fd/(\d+)")
_LOGGED = "tfc", "edge"
_ORPHANED = 1

Say = Callable[[str], None]
"""Tells the parent what is begun."""


class ProcessCrashedError(FedCompressError):
    """The process ended without an answer.

    Attributes:
        stage: What it had begun last; empty where it had begun nothing.
        cause: Its exit code, or the signal that ended it.
    """

    def __init__(self, stage: str, cause: str) -> None:
        """Takes both attributes."""
        super().__init__(f"crashed while {stage} ({cause})" if stage else f"crashed ({cause})")
        self.stage, self.cause = stage, cause


def _resolved(target: str) -> Callable[[dict[str, Any], Say], Any]:
    module, _, name = target.partition(":")
    function: Callable[[dict[str, Any], Say], Any] = getattr(importlib.import_module(module), name)
    return function


def _end_with_the_parent() -> None:
    """Standard input ends when the parent does, however it ends; its work is of no use then."""
    while os.read(0, 1):  # not sys.stdin, whose lock this thread would hold at the interpreter's end
        pass
    os._exit(_ORPHANED)


def main() -> int:
    """Does the work that a line on standard input asks for, and returns the exit code."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(**what: Any) -> None:
        answers.write(json.dumps(what) + "\n")

    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    if asked["verbose"]:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        say(result=_resolved(asked["target"])(asked["request"], lambda stage: say(stage=stage)))
    except FedCompressError as error:
        say(error=str(error), kind=type(error).__name__)
    except ImportError as error:
        say(error=str(error), kind="ImportError", name=error.name)
    except OSError as error:
        say(error=error.strerror or str(error), kind="OSError", number=error.errno, name=str(error.filename or "file"))
    except MemoryError as error:
        say(error=str(error), kind="MemoryError")
    except KeyboardInterrupt:
        return 130
    return 0


def _raised(answer: dict[str, Any]) -> Exception:
    kind, message = answer["kind"], answer["error"]
    if kind == "ImportError":
        return ModuleNotFoundError(message, name=answer["name"])
    if kind == "OSError":
        return OSError(answer["number"], message, answer["name"])
    if kind == "MemoryError":
        return MemoryError(message)
    found: Exception = getattr(errors, kind, FedCompressError)(message)
    return found


def python_command(module: str) -> list[str]:
    """Returns the words that start a Python process which calls a module's `main` and exits with what that returns.

    Args:
        module: Its name; what this process imports can be imported there.
    """
    # Not -m, which would put the working folder before everything that is imported.
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; sys.exit(main())",
    ]


def cause_of_end(code: int) -> str:
    """Returns why a process ended, in words.

    Args:
        code: As `subprocess` has it: an exit code, or the negative number of a signal.
    """
    if code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "killed, perhaps for want of memory"
    return signal.strsignal(-code) or f"signal {-code}"


def call_apart(target: str, request: dict[str, Any], *, files: Iterable[str] = (), quiet: bool = False) -> Any:
    """Calls a function in a process of its own.

    Args:
        target: `module:function`; the function takes the request and a `Say`, and returns what JSON can hold.
        request: What JSON can hold.
        files: Paths that the function opens; those that a shell's `<(...)` names are open files of this process,
            and are handed on.
        quiet: Whether what libraries write to standard error is dropped, unless the log is shown.

    Returns:
        What the function returned.

    Raises:
        FedCompressError: Whatever of these the function raised.
        OSError: What the function raised, as are ImportError and MemoryError.
        ProcessCrashedError: If the process ended without an answer.
    """
    inherited = [int(name[1]) for name in map(_OPEN_FILE.fullmatch, files) if name]
    verbose = any(logging.getLogger(name).isEnabledFor(logging.INFO) for name in _LOGGED)
    process = subprocess.Popen(
        python_command(__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet and not verbose else None,
        text=True,
        pass_fds=inherited,
    )
    assert process.stdin is not None and process.stdout is not None
    stage, last = "", {}
    with process:
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps({"target": target, "request": request, "verbose": verbose}) + "\n")
                process.stdin.flush()
            for line in process.stdout:
                last = json.loads(line)
                stage = last.get("stage", stage)
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
    if "result" in last:
        return last["result"]
    if "error" in last:
        raise _raised(last)
    raise ProcessCrashedError(stage, cause_of_end(code))

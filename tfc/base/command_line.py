"""Shared by the command lines `tfc` and `edge`: parsers, verbosity, completion, exit codes. Needs no package."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tfc.base.clean_text import clean
from tfc.base.errors import RunInterruptedError

REFUSED = 1
"""Exit code of a refusal, which prints one line on standard error."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_LONGEST_MESSAGE = 4000
"""Characters: a message names what is known, which may be every key of the configuration."""

SHELLS = ("bash", "zsh", "tcsh", "fish")
"""Shells with a completion script."""


class _PrintCompletion(argparse.Action):
    """Prints a shell's completion script and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *words: Any) -> None:
        _, shell, *_ = words
        try:
            import shtab
        except ModuleNotFoundError:
            parser.exit(REFUSED, "error: shtab not installed: pip install shtab\n")
        for each in _with_subparsers(parser):
            for action in each._actions:
                if action.type is Path:
                    kind = shtab.DIRECTORY if action.metavar in ("DIR", "RUN") else shtab.FILE
                    action.complete = kind  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell))
        parser.exit()


def _with_subparsers(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _with_subparsers(each)


class Commands:
    """A program's parser, and its commands.

    Attributes:
        parser: The parser.
    """

    def __init__(self, program: str, description: str, *, version: str, examples: str, exit_codes: str) -> None:
        """Makes a parser without commands.

        Args:
            program: Name of the program.
            description: Its purpose.
            version: Of this package.
            examples: Lines that can be typed.
            exit_codes: What they mean.
        """
        self.parser = argparse.ArgumentParser(
            prog=program,
            description=description,
            epilog=f"examples:\n{_indented(examples)}\n\nexit codes: {exit_codes}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.parser.add_argument("--version", action="version", version=f"{program} {version}")
        self.parser.add_argument(
            "--print-completion",
            action=_PrintCompletion,
            choices=SHELLS,
            metavar="SHELL",
            help=f"print a completion script for {', '.join(SHELLS)}, and end",
        )
        self._commands = self.parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(self, name: str, help_: str, example: str, to: Any = None) -> argparse.ArgumentParser:
        """Adds a command.

        Args:
            name: What is typed.
            help_: What it does: a line that starts with a small letter.
            example: Lines that can be typed.
            to: What `add_group` returned; the program itself where None.

        Returns:
            Its parser.
        """
        parser: argparse.ArgumentParser = (to or self._commands).add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            epilog=f"example:\n{_indented(example)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return parser

    def add_group(self, name: str, help_: str, example: str) -> Any:
        """Adds a command that has commands itself; see `add`."""
        return self.add(name, help_, example).add_subparsers(title="commands", metavar="COMMAND", required=True)


def _indented(lines: str) -> str:
    return "\n".join(f"  {line}" for line in lines.splitlines())


def add_loudness(command: argparse.ArgumentParser, verbose: str) -> None:
    """Adds --quiet and --verbose.

    Args:
        command: Parser of a command that takes long.
        verbose: What --verbose shows.
    """
    loudness = command.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="hide progress, but not warnings")
    loudness.add_argument("--verbose", action="store_true", help=verbose)


def shows_progress(options: argparse.Namespace) -> bool:
    """Whether to show a progress bar: standard error is a terminal, and --quiet is not given.

    Args:
        options: Of a command with `add_loudness`.
    """
    return not options.quiet and sys.stderr.isatty()


def exit_code(work: Callable[[], int], errors: type[Exception], install: str) -> int:
    """Runs a command; errors that a user can fix become one line on standard error.

    Args:
        work: Returns an exit code.
        errors: Base of the errors that are reported so.
        install: What to do where a package is missing.

    Returns:
        What `work` returned; `REFUSED` or `INTERRUPTED` where it raised.
    """
    try:
        return work()
    except (KeyboardInterrupt, RunInterruptedError) as interruption:
        print(f"interrupted: {interruption}" if str(interruption) else "interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of standard output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except errors as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename or 'file'}: {error.strerror or error}"
    except ModuleNotFoundError as error:
        message = f"{error.name} not installed: {install}"
    except MemoryError:
        message = "not enough memory; is the file damaged?"
    print(f"error: {clean(message, _LONGEST_MESSAGE)}", file=sys.stderr)
    return REFUSED

"""What tests need beyond Python packages: programs, other Pythons, root."""

import os
import pty
import shutil
import subprocess
import termios
import threading
from pathlib import Path

import pytest

PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def missing(what):
    """Skips the test, visibly; under CI, where everything is to be installed, fails it."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def program(name, package):
    """Path of a program, or what to install."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        missing(f"needs {name}: apt install {package}")
    return found


def needs_root(why):
    """Goes on as root only."""
    if os.geteuid():
        missing(f"needs root: {why}")


def python(version):
    """An interpreter of that version; skips, also under CI, where the machine has none."""
    candidates = [f"python{version}", *Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python")]
    for candidate in candidates:
        try:
            done = subprocess.run([candidate, "--version"], capture_output=True, text=True)
        except OSError:
            continue
        if done.returncode == 0 and done.stdout.startswith(f"Python {version}."):
            return candidate
    return pytest.skip(f"Python {version} is not on this machine: not tried")


def in_a_terminal(words, **options):
    """Runs a program whose standard error is a terminal; (what `subprocess.run` returns, what it showed there)."""
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, 200))  # a terminal without a width gets no bar
    shown = []

    def read():
        try:
            while part := os.read(reader, 65536):
                shown.append(part)
        except OSError:  # Linux' way to say that nobody has the other end any more
            pass

    reading = threading.Thread(target=read)
    reading.start()
    done = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, stderr=writer, text=True, **options)
    os.close(writer)
    reading.join()
    os.close(reader)
    return done, b"".join(shown).decode()

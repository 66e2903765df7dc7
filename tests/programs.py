"""What tests need beyond Python packages: programs, other Pythons, root."""

import os
import shutil
import subprocess
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

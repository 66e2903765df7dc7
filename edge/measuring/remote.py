"""`edge bench` on another machine over ssh: copies wheel and files, installs, measures, fetches the result, cleans up.

Everything goes into one temporary folder there, with an environment of its own; nothing else on that machine is
changed.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfc.base.errors import EdgeError

Say = Callable[[str], None]
"""Told what is being done."""

EXTRAS = {"auto": "litert", "litert": "litert", "tflite": "tflite", "all": "litert,tflite"}
"""The extra of this package to install for a runtime."""

MAKE_FOLDER = "mktemp -d"
"""The shell command that makes the temporary folder there and prints its name."""

_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "tfc", "edge")
_CONNECTION_FAILED = 255


@dataclass(frozen=True)
class RemoteSettings:
    """How to reach a machine and what to run there.

    Attributes:
        ssh: The command that connects, with its options.
        python: The interpreter there, 3.10 or newer.
        wheel: This package as a wheel; built from the source tree where None.
    """

    ssh: str = "ssh"
    python: str = "python3"
    wheel: Path | None = None


def build_wheel(folder: Path) -> Path:
    """Builds this package's wheel from the source tree that it is imported from.

    Args:
        folder: Where it goes.

    Raises:
        EdgeError: If there is no source tree, or building fails.
    """
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").is_file():
        raise EdgeError(
            "--host needs this package as a wheel, and this is not a source tree: give one with --wheel FILE"
        )
    # In a copy: setuptools leaves a build folder, whose files would get into the next wheel.
    with tempfile.TemporaryDirectory() as copy:
        for name in _SOURCES:
            source, target = root / name, Path(copy, name)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*words, "--wheel-dir", str(folder), copy], capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise EdgeError(f"building this package's wheel failed: {_last_line(done.stderr)}; give one with --wheel FILE")
    return wheels[0]


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip() and not line.startswith("[notice]")]
    return lines[-1].strip() if lines else "no output"


class _Connection:
    """Commands on one machine."""

    def __init__(self, host: str, settings: RemoteSettings) -> None:
        if not host or host.startswith("-"):
            raise EdgeError(f"--host takes a machine as ssh does, such as pi@raspberrypi; found {host!r}")
        self.host = host
        self._words = [*shlex.split(settings.ssh), host]
        if shutil.which(self._words[0]) is None:
            raise EdgeError(f"--ssh {settings.ssh}: no such program; install OpenSSH's client (openssh-client)")

    def run(self, command: str, what: str, content: bytes = b"") -> str:
        """Runs a shell command there; returns what it prints.

        Raises:
            EdgeError: If it can't be reached, or the command fails.
        """
        done = subprocess.run([*self._words, command], input=content, capture_output=True)
        errors = done.stderr.decode(errors="replace")
        if done.returncode == _CONNECTION_FAILED:
            raise EdgeError(f"{self.host}: no connection: {_last_line(errors)}")
        if done.returncode:
            raise EdgeError(f"{self.host}: {what}: {_last_line(errors).removeprefix('error: ')}")
        return done.stdout.decode(errors="replace")


def _archive(members: dict[str, Path]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, path in members.items():
            archive.add(path, name)
    return out.getvalue()


@contextlib.contextmanager
def _temporary_folder(connection: _Connection) -> Iterator[str]:
    """A temporary folder there; on leaving, its measurement is ended and the folder is removed, also after an error."""
    folder = connection.run(MAKE_FOLDER, "no temporary folder").strip()
    quoted = shlex.quote(folder)
    clean = f"test -f {quoted}/pid && kill $(cat {quoted}/pid); rm -rf {quoted}"
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(EdgeError):
            connection.run(clean, "can't clean up")
        raise
    connection.run(clean, "can't clean up")


def remote_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Returns names for files on another machine: one folder there for each folder here.

    Args:
        paths: The files here.
    """
    folders = list(dict.fromkeys(path.resolve().parent for path in paths))
    return {path: f"models/{folders.index(path.resolve().parent)}/{path.name}" for path in paths}


def _check_files(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_file():
            raise EdgeError(f"{path}: no such file")


def _install(connection: _Connection, folder: str, python: str, wheel: str) -> None:
    """Makes an environment in the folder there and installs this package in it."""
    there = shlex.quote(folder)
    connection.run(
        f"{shlex.quote(python)} -m venv {there}/venv",
        f"'{python} -m venv' failed (on Debian: apt install python3-venv)",
    )
    wanted = shlex.quote(f"{folder}/{wheel}")
    connection.run(
        f"{there}/venv/bin/python -m pip install --quiet --disable-pip-version-check {wanted}", "pip install failed"
    )


def _measure(connection: _Connection, folder: str, words: Sequence[str]) -> dict[str, Any]:
    """Runs `edge` with these words in the folder there; returns the content of bench.json."""
    there = shlex.quote(folder)
    # The process' number is there while it runs, for whoever cleans up after a connection that was lost.
    measure = f"venv/bin/edge {shlex.join(words)} & echo $! >pid; wait $!; code=$?; rm pid; exit $code"
    command = f"cd {there} && {{ {measure}; }}"
    connection.run(f"sh -c {shlex.quote(command)}", "edge bench failed")
    result: dict[str, Any] = json.loads(connection.run(f"cat {there}/bench.json", "no result"))
    return result


def bench_on(
    host: str,
    files: Sequence[Path],
    *,
    baseline: Path | None,
    data: Path | None,
    runtime: str,
    options: Sequence[str],
    settings: RemoteSettings,
    say: Say = lambda what: None,
) -> dict[str, Any]:
    """Measures files on another machine.

    Args:
        host: As ssh takes it.
        files: Model files here.
        baseline: What speed-up refers to; the first file where None.
        data: NPZ of inputs and classes here, or None.
        runtime: A key of `EXTRAS`.
        options: More words for `edge bench` there.
        settings: How to get there.
        say: Told what is being done.

    Returns:
        What `edge.bench_files` returns, with local paths and the machine's name as `host`.

    Raises:
        EdgeError: If a file is missing here, the machine can't be reached, or something fails there.
    """
    if runtime not in EXTRAS:
        raise EdgeError(f"--host measures with {', '.join(EXTRAS)}; found --runtime {runtime}")
    paths = list(dict.fromkeys([*([baseline] if baseline else []), *files]))
    _check_files((*paths, *([data] if data else []), *([settings.wheel] if settings.wheel else [])))
    connection = _Connection(host, settings)
    names = remote_names(paths)
    with tempfile.TemporaryDirectory() as here:
        wheel = settings.wheel or build_wheel(Path(here))
        members = {wheel.name: wheel, **{names[path]: path for path in paths}, **({"data.npz": data} if data else {})}
        archive = _archive(members)
    words = ["bench", *(names[path] for path in paths), "--runtime", runtime, "--json", "bench.json", *options]
    words += ["--baseline", names[baseline]] if baseline else []
    words += ["--data", "data.npz"] if data else []
    say(f"{host}: copying {len(archive) / 1e6:.1f} MB")
    with _temporary_folder(connection) as folder:
        connection.run(f"tar -xf - -C {shlex.quote(folder)}", "can't unpack", archive)
        say(f"{host}: installing")
        _install(connection, folder, settings.python, f"{wheel.name}[{EXTRAS[runtime]}]")
        say(f"{host}: measuring")
        result = _measure(connection, folder, words)
    local = {name: str(path) for path, name in names.items()}
    for item in result["files"]:
        item["path"] = local[item["path"]]
    return {**result, "host": host, "data": None if data is None else str(data)}

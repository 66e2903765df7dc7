"""`edge bench` on another machine over ssh: copies wheel and files, installs, measures, fetches the result, cleans up.

Everything goes into one temporary folder there, with an environment of its own; nothing else on that machine is
changed. The folder goes, and what runs in it ends, however this side ends: a shell there keeps them, and cleans up once
its input ends (this process was killed), once no line came for half a minute (the connection is dead), or once it is
told to end itself.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edge.measuring import constraints
from edge.measuring.bench_result import read_bench
from tfc.base.clean_text import clean
from tfc.base.errors import DataFileError, EdgeError

Say = Callable[[str], None]
"""Told what is being done."""

EXTRAS = {"auto": "litert", "litert": "litert", "tflite": "tflite", "all": "litert,tflite"}
"""The extra of this package to install for a runtime."""

MAKE_FOLDER = "mktemp -d"
"""The shell command that makes the temporary folder there and prints its name."""

_BEAT_SECONDS, _LOST_SECONDS, _CLEAN_SECONDS = 5.0, 30, 30.0
"""A line goes there so often; without one for so long all is removed there; so long this side waits for that."""

# `wait` returns at a signal, which a program in the foreground would hold up; `exec 3<&0` keeps the input, which a
# program in the background does not get.
_KEEP = """
folder=$({make}) || exit 1
clean() {{
  trap '' HUP INT TERM
  if test -f "$folder/pid"; then
    pid=$(cat "$folder/pid")
    kill "$pid"
    for turn in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" || break; sleep 0.2; done
    kill -9 "$pid"
  fi 2>/dev/null
  rm -rf "$folder" || {{ sleep 1; rm -rf "$folder"; }}
  exit 0
}}
trap clean HUP INT TERM
printf '%s\\n' "$folder"
exec 3<&0
{{ while read -r line; do : >"$folder/alive"; done; kill -TERM $$; }} <&3 >/dev/null 2>&1 &
while : ; do
  rm -f "$folder/alive"
  sleep {lost} >/dev/null 2>&1 & wait $!
  test -f "$folder/alive" || clean
done
"""

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
        if not host.strip() or host.startswith("-") or host != host.strip() or clean(host) != host:
            found = clean(repr(host), 80)
            raise EdgeError(f"--host takes a machine as ssh does, such as pi@raspberrypi; found {found}")
        self.host = host
        self.words = [*shlex.split(settings.ssh), host]
        if shutil.which(self.words[0]) is None:
            raise EdgeError(f"--ssh {settings.ssh}: no such program; install OpenSSH's client (openssh-client)")

    def run(self, command: str, what: str, content: bytes = b"") -> str:
        """Runs a shell command there; returns what it prints.

        Raises:
            EdgeError: If it can't be reached, or the command fails.
        """
        done = subprocess.run([*self.words, command], input=content, capture_output=True)
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
    """A temporary folder there; it goes, and what runs in it ends, on leaving and however this process ends."""
    script = _KEEP.format(make=MAKE_FOLDER, lost=_LOST_SECONDS)
    keeper = subprocess.Popen(
        [*connection.words, f"sh -c {shlex.quote(script)}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert keeper.stdin and keeper.stdout and keeper.stderr
    done = threading.Event()
    beat = threading.Thread(target=_beat, args=(keeper.stdin, done), daemon=True)
    try:
        folder = keeper.stdout.readline().decode(errors="replace").rstrip("\n")
        if not folder.startswith("/") or clean(folder) != folder:
            keeper.stdin.close()
            errors, code = keeper.stderr.read().decode(errors="replace"), keeper.wait(_CLEAN_SECONDS)
            reason = "no connection" if code == _CONNECTION_FAILED else "no temporary folder"
            raise EdgeError(f"{connection.host}: {reason}: {_last_line(errors)}")
        beat.start()
        yield folder
    finally:
        done.set()
        if beat.is_alive():
            beat.join()
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        try:
            keeper.wait(_CLEAN_SECONDS)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
        keeper.stdout.close()
        keeper.stderr.close()


def _beat(pipe: IO[bytes], done: threading.Event) -> None:
    """Tells the keeper there that this side is alive."""
    with contextlib.suppress(OSError, ValueError):
        while not done.is_set():
            pipe.write(b"\n")
            pipe.flush()
            done.wait(_BEAT_SECONDS)


def _kept(folder: str, command: str) -> str:
    """A command whose process the keeper ends with the folder; its exit code is the command's."""
    there = shlex.quote(folder)
    kept = f"cd {there} && {{ {command} & echo $! >pid; wait $!; code=$?; rm -f pid; exit $code; }}"
    return f"sh -c {shlex.quote(kept)}"


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
        if clean(path) != str(path):
            raise EdgeError(f"{clean(path)}: --host copies files whose names have no control characters; rename it")


def _install(connection: _Connection, folder: str, python: str, wheel: str) -> None:
    """Makes an environment in the folder there and installs this package in it, with the versions that are here."""
    connection.run(
        _kept(folder, f"{shlex.quote(python)} -m venv venv"),
        f"'{python} -m venv' failed (on Debian: apt install python3-venv)",
    )
    wanted = shlex.quote(f"./{wheel}")
    connection.run(
        _kept(
            folder,
            "venv/bin/python -m pip install --quiet --disable-pip-version-check "
            f"--constraint {constraints.FILE_NAME} {wanted}",
        ),
        "pip install failed",
    )


def _measure(connection: _Connection, folder: str, words: Sequence[str]) -> dict[str, Any]:
    """Runs `edge` with these words in the folder there; returns the content of bench.json, checked."""
    connection.run(_kept(folder, f"venv/bin/edge {shlex.join(words)}"), "edge bench failed")
    content = connection.run(f"cat {shlex.quote(folder)}/bench.json", "no result")
    with tempfile.TemporaryDirectory() as here:
        path = Path(here, "bench.json")
        path.write_text(content, encoding="utf-8")
        try:
            return read_bench(path)
        except DataFileError as error:
            reason = str(error).partition(f"{path}: ")[2]
            raise EdgeError(f"{connection.host}: its result is {reason}") from error


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
        pinned = Path(here, constraints.FILE_NAME)
        pinned.write_text(constraints.constraints(), encoding="utf-8")
        members = {
            wheel.name: wheel,
            pinned.name: pinned,
            **{names[path]: path for path in paths},
            **({"data.npz": data} if data else {}),
        }
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

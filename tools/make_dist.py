"""Builds sdist and wheel from the tracked files of this checkout: the same files give the same bytes.

python tools/make_dist.py dist

Times are those of the last commit (SOURCE_DATE_EPOCH, where it is set), modes and owners are normalised. The wheel is
made from the unpacked sdist, so that what is missing there is noticed. `make dist` runs this in an environment of its
own.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class DistError(Exception):
    """Something that is reported in one line."""


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    except FileNotFoundError:
        raise DistError("git is not installed: it knows which files belong to the package") from None
    if done.returncode:
        raise DistError(f"{ROOT}: not a git checkout, which knows the files and their time: {done.stderr.strip()}")
    return done.stdout


def _copy_tracked(folder: Path) -> None:
    for name in filter(None, _git("ls-files", "-z").split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file():  # deleted, not committed: not there
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _normalise_modes(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # no script of the package is run by its own name


def _build(kind: str, source: Path, out: Path, epoch: int) -> Path:
    """Calls the build backend, as pip would, in an environment that is already pinned."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    before = set(out.iterdir())
    words = [sys.executable, "-c", code, str(out.resolve())]
    done = subprocess.run(words, cwd=source, env=environment, umask=0o022, capture_output=True, text=True)
    if done.returncode:
        raise DistError(f"building the {kind} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    (made,) = set(out.iterdir()) - before
    return made


def _normalised_sdist(content: bytes, epoch: int) -> bytes:
    """The same archive without what depends on the moment and on who builds: times, owners, order."""
    plain = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            clean = tarfile.TarInfo(member.name)
            clean.type, clean.size, clean.mtime = member.type, member.size, epoch
            clean.mode = 0o755 if member.isdir() else 0o644
            new.addfile(clean, old.extractfile(member) if member.isfile() else None)
    return gzip.compress(plain.getvalue(), mtime=epoch)


def make(out: Path) -> list[Path]:
    """Builds both.

    Args:
        out: Where they go.

    Raises:
        DistError: If this is no git checkout, or building fails.
    """
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))
    if _git("status", "--porcelain", "--untracked-files=no"):
        print("warning: changes that are not committed are in it", file=sys.stderr)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        tree, made, unpacked = (Path(name, each) for each in ("tree", "made", "unpacked"))
        for folder in (tree, made, unpacked):
            folder.mkdir()
        _copy_tracked(tree)
        _normalise_modes(tree)
        sdist = _build("sdist", tree, made, epoch)
        sdist.write_bytes(_normalised_sdist(sdist.read_bytes(), epoch))
        with tarfile.open(sdist) as archive:
            archive.extractall(unpacked)
        (source,) = unpacked.iterdir()
        _normalise_modes(source)
        wheel = _build("wheel", source, made, epoch)
        return [Path(shutil.copyfile(path, out / path.name)) for path in (sdist, wheel)]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Builds sdist and wheel, the same bytes every time.")
    parser.add_argument("out", type=Path, metavar="DIR", help="where they go")
    try:
        for path in make(parser.parse_args(arguments).out):
            print(f"{path}  {path.stat().st_size:,} bytes")
    except (DistError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Builds a Debian arm64 userland that this machine runs under qemu-user, with this package's wheel in it.

    python tools/aarch64_userland.py FOLDER

FOLDER/python3 then is Python on aarch64, with NumPy, both Linux interpreters and `edge`. Nothing in it needs
binfmt_misc or a chroot: qemu loads programs from the userland's root, and Python starts its children through the same
script.

Needs root (debootstrap) and the Debian packages debootstrap and qemu-user-static.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from edge.measuring.remote import build_wheel

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = "python3,python3-pip,ca-certificates"
DONE = ".complete"
CPU = "cortex-a72"
"""That of a Raspberry Pi 4."""

CPUINFO = """processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


def unpack_debian(root: Path) -> None:
    """Fetches Debian's packages for arm64 and unpacks them; none of their scripts is run."""
    words = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", f"--include={PACKAGES}"]
    subprocess.run([*words, SUITE, str(root), MIRROR], check=True, stdout=subprocess.DEVNULL)
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)


def write_cpuinfo(root: Path) -> None:
    """Writes what an Arm machine's /proc/cpuinfo says; from this machine's, ai-edge-litert crashes when it starts."""
    (root / "proc").mkdir(exist_ok=True)
    processors = "".join(CPUINFO.format(number=number) for number in range(2))
    (root / "proc" / "cpuinfo").write_text(processors + f"Model\t\t: {CPU} under qemu-user\n")


def write_python(folder: Path) -> Path:
    """Writes FOLDER/python3: Python of the userland, which finds its own name there and starts children by it."""
    root = folder / "root"
    (interpreter,) = (path for path in (root / "usr/bin").glob("python3.*") if path.name.count(".") == 1)
    python = folder / "python3"
    words = [
        "qemu-aarch64-static",
        "-cpu",
        CPU,
        "-L",
        str(root),
        "-E",
        f"PYTHONHOME={root}/usr",
        "-E",
        f"PYTHONPATH={folder}/site",
    ]
    python.write_text(f'#!/bin/sh\nexec {shlex.join(words)} -0 "$0" {shlex.quote(str(interpreter))} "$@"\n')
    python.chmod(0o755)
    return python


def build(folder: Path) -> Path:
    """Builds what is missing of the userland; the wheel is always the present one.

    Args:
        folder: Where it is, or is to be.

    Returns:
        Its Python.
    """
    folder = folder.resolve()
    root = folder / "root"
    if not (folder / DONE).exists():
        shutil.rmtree(root, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"unpacking Debian {SUITE} for arm64 in {root}", file=sys.stderr)
        unpack_debian(root)
        write_cpuinfo(root)
    python = write_python(folder)
    (folder / "wheel").mkdir(exist_ok=True)
    wheel = build_wheel(folder / "wheel")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", f"{folder}/site"]
    if not (folder / DONE).exists():
        print("installing the interpreters for aarch64 (minutes, under qemu)", file=sys.stderr)
        shutil.rmtree(folder / "site", ignore_errors=True)
        subprocess.run([*pip, f"{wheel}[litert,tflite]"], check=True)
        (folder / DONE).touch()
    subprocess.run([*pip, "--no-deps", "--upgrade", str(wheel)], check=True)
    return python


def main() -> None:
    """Builds it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print(build(parser.parse_args().folder))


if __name__ == "__main__":
    main()

"""Energy of inferences, read from a meter by a command of the user's.

The command prints one number, the joules that the device has used so far: a counter of a power meter, of a battery
gauge, or of the processor (on Linux, /sys/class/powercap/intel-rapl:0/energy_uj divided by a million). It is run before
and after a block of inferences of each file; what the device uses besides is part of the difference.
"""

from __future__ import annotations

import math
import shlex
import subprocess
from typing import Protocol

from tfc.base.errors import EdgeError

_TIMEOUT_SECONDS = 60


class _Runner(Protocol):
    def run(self, count: int) -> list[float]: ...


def read_joules(command: str) -> float:
    """Runs the meter's command.

    Args:
        command: Words as in a shell, without a shell's syntax.

    Returns:
        Joules.

    Raises:
        EdgeError: If it fails, or prints something else than a number.
    """
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise EdgeError(f"--energy-command {command!r} does not run: {error}") from error
    printed = done.stdout.strip()
    if done.returncode:
        raise EdgeError(f"--energy-command {command!r} ends with {done.returncode}: {done.stderr.strip()[-200:]}")
    try:
        joules = float(printed)
    except ValueError:
        joules = math.nan
    if not math.isfinite(joules):
        raise EdgeError(f"--energy-command {command!r} must print joules, one number; it prints {printed[:100]!r}")
    return joules


def millijoules_per_run(runner: _Runner, command: str, median_ms: float, seconds: float) -> float:
    """Returns the millijoules of an inference.

    Args:
        runner: A file's process, its input set.
        command: The meter's.
        median_ms: Of an inference, in milliseconds.
        seconds: How long inferences are run at least.

    Raises:
        EdgeError: If the meter does not work, or runs backwards.
    """
    count = max(1, math.ceil(seconds * 1000 / max(median_ms, 1e-6)))
    before = read_joules(command)
    runner.run(count)
    used = read_joules(command) - before
    if used < 0:
        raise EdgeError(f"--energy-command {command!r} went back by {-used:g} J: it must count upwards")
    return 1000 * used / count

"""The machine of a measurement: its hardware, versions and state, as far as the system reports them. NumPy alone."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

_CPU = Path("/sys/devices/system/cpu/cpu0")
_THERMAL = Path("/sys/class/thermal")
_PI_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
_PI_FLAGS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of a Raspberry Pi's throttling word for the current state; the same bits shifted by 16 cover the time since
boot."""


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _processor() -> str:
    """x86 names it `model name`, a Raspberry Pi `Model`; a bare `model` is a number."""
    lines = [line.split(":", 1) for line in (_text(Path("/proc/cpuinfo")) or "").splitlines() if ":" in line]
    named = {key.strip(): value.strip() for key, value in reversed(lines)}
    return named.get("model name") or named.get("Model") or platform.processor() or platform.machine()


def describe_machine() -> dict[str, Any]:
    """Returns processor, architecture, cores, system, and the versions of Python and NumPy."""
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def machine_state() -> dict[str, Any]:
    """Returns governor, frequency_mhz, temperature_celsius, throttle_events and throttled; None for each not reported.

    `throttle_events` counts an x86 core's events; `throttled` lists a Raspberry Pi's current flags.
    """
    frequency = _number(_CPU / "cpufreq" / "scaling_cur_freq")
    zones = [_number(zone / "temp") for zone in sorted(_THERMAL.glob("thermal_zone*"))]
    temperatures = [value / 1000 for value in zones if value is not None]
    word = _text(_PI_THROTTLED)
    flags = None if word is None else [name for bit, name in _PI_FLAGS.items() if int(word, 16) >> bit & 1]
    return {
        "governor": _text(_CPU / "cpufreq" / "scaling_governor"),
        "frequency_mhz": None if frequency is None else frequency / 1000,
        "temperature_celsius": max(temperatures, default=None),
        "throttle_events": _number(_CPU / "thermal_throttle" / "core_throttle_count"),
        "throttled": flags,
    }


def was_throttled(before: dict[str, Any], after: dict[str, Any]) -> bool | None:
    """Whether the processor was throttled in between; None where the system does not report it.

    Args:
        before: What `machine_state` returned first.
        after: What it returned later.
    """
    if after["throttled"] is not None:
        return bool(before["throttled"] or after["throttled"])
    if after["throttle_events"] is not None and before["throttle_events"] is not None:
        return bool(after["throttle_events"] > before["throttle_events"])
    return None

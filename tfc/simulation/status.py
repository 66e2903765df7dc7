"""Progress of a run, from its files alone: config.toml, metrics.csv, run.log."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from tfc.base.clean_text import clean
from tfc.base.errors import RunError
from tfc.base.regular_file import read_regular, reading
from tfc.base.run_files import CONFIG, METRICS, SUMMARY
from tfc.base.schema import whole
from tfc.config.loading import read_settings
from tfc.simulation.folder import read_metrics
from tfc.simulation.log import LOG, is_alive, seconds_since_1970

_LAST_ROUNDS = 10
_PROCESS = re.compile(r"^(\S+) INFO \S+: process (\d{1,9}) on (\S+) since ([0-9]{1,12}\.[0-9]{1,6})$")
_ROUND = re.compile(r"^(\S+) INFO round (\d{1,9}) of \d+: ")


@dataclass(frozen=True)
class RunStatus:
    """Progress of a run.

    Attributes:
        path: Its folder.
        state: "finished", "running", "not running", or "unknown" where another host runs it or it has no log.
        rounds: Rounds that it will have.
        done: Rounds done.
        accuracy: Test accuracy after the last of them, 0 to 1; None before the first.
        best_accuracy: The best one.
        uplink_bytes: Bytes from clients so far.
        downlink_bytes: Bytes to clients so far.
        round_seconds: Seconds from one round to the next, median of the last ten; None before the first.
        seconds_left: Estimate for the remaining rounds; None before the first round and where no process runs.
        last_line: Last line of the log.
    """

    path: Path
    state: str
    rounds: int
    done: int
    accuracy: float | None
    best_accuracy: float | None
    uplink_bytes: int
    downlink_bytes: int
    round_seconds: float | None
    seconds_left: float | None
    last_line: str


def _lines(path: Path) -> list[str]:
    return read_regular(path).decode("utf-8", "replace").splitlines() if path.exists() else []


def _state(path: Path, lines: list[str]) -> str:
    if (path / SUMMARY).is_file():
        return "finished"
    found = [match for match in map(_PROCESS.match, lines) if match]
    alive = is_alive(int(found[-1][2]), found[-1][3], float(found[-1][4])) if found else None
    return "unknown" if alive is None else "running" if alive else "not running"


def read_status(path: Path, now: float | None = None) -> RunStatus:
    """Reads a run's progress while it runs or afterwards.

    Args:
        path: The run's folder.
        now: Seconds since 1970; the clock's where None.

    Raises:
        RunError: If it is no run's folder, or a file is damaged.
    """
    if not (path / CONFIG).exists():
        raise RunError(f"{path}: {CONFIG} is missing: it is not a run's folder")
    now = time.time() if now is None else now
    with reading(path, RunError, f"a run's folder: damaged {CONFIG}, {METRICS} or {LOG}"):
        rounds = whole(1)(read_settings(path / CONFIG).get("rounds"), "rounds")
        rows = read_metrics(path / METRICS) if (path / METRICS).exists() else ()
        lines = _lines(path / LOG)
        times = {int(match[2]): seconds_since_1970(match[1]) for match in map(_ROUND.match, lines) if match}
        state = _state(path, lines)
    accuracies = [row.accuracy for row in rows]
    seconds = [row.seconds for row in rows]
    # The log's times include the evaluation between rounds, which `seconds` does not.
    gaps = [times[number] - times[number - 1] for number in sorted(times) if number - 1 in times]
    each = statistics.median((gaps or seconds)[-_LAST_ROUNDS:]) if rows else None
    left = None
    if state == "running" and each is not None:
        since_last = now - times[len(rows)] if len(rows) in times else 0.0
        left = max(0.0, each * (rounds - len(rows)) - min(since_last, each))
    return RunStatus(
        path,
        state,
        rounds,
        len(rows),
        accuracies[-1] if rows else None,
        max(accuracies) if rows else None,
        sum(row.uplink_bytes for row in rows),
        sum(row.downlink_bytes for row in rows),
        each,
        left,
        lines[-1] if lines else "",
    )


def describe_status(status: RunStatus) -> str:
    """Returns a run's progress as a few lines of text.

    Args:
        status: Progress of the run.
    """
    words = {
        "state": status.state,
        "rounds": f"{status.done} of {status.rounds}",
        "accuracy": "-" if status.accuracy is None else f"{status.accuracy:.4f} (best {status.best_accuracy:.4f})",
        "MB": f"{status.uplink_bytes / 1e6:.3f} up, {status.downlink_bytes / 1e6:.3f} down",
        "per round": "-" if status.round_seconds is None else f"{status.round_seconds:.1f} s",
        "time left": "-" if status.seconds_left is None else f"about {status.seconds_left / 60:.1f} min",
        "log": clean(status.last_line) or "-",
    }
    return "\n".join([clean(status.path), *(f"  {name:10} {text}" for name, text in words.items())])

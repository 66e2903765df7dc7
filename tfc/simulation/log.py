"""A run's log: records of the logger `tfc`, and Python's warnings, go to a file of the run and to the console."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from tqdm import tqdm

LOG = "run.log"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
_LOGGERS = ("tfc", "py.warnings")


class _ConsoleHandler(logging.Handler):
    """Writes above a progress bar, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


class _Onward(logging.Handler):
    """Passes to the root logger's handlers only the records that they would get without the run's own level."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger().callHandlers(record)


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Keeps TensorFlow's remarks about itself (deprecations, retracing) from the console while the context lasts."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _handled_by(handler: logging.Handler, level: int, *, onward: bool) -> Iterator[None]:
    handler.setLevel(level)
    with contextlib.ExitStack() as before:
        for logger in map(logging.getLogger, _LOGGERS):
            before.callback(logger.setLevel, logger.level)
            before.callback(setattr, logger, "propagate", logger.propagate)
            handlers = [handler]
            # A library may have set up the root logger: without this filter every round's line would be on the console
            # twice.
            if onward and logger.propagate:
                handlers.append(_Onward(logger.getEffectiveLevel()))
            logger.setLevel(min(level, logger.getEffectiveLevel()))
            logger.propagate = False
            for each in handlers:
                logger.addHandler(each)
                before.callback(logger.removeHandler, each)
        before.callback(handler.close)
        yield


@contextlib.contextmanager
def console_log(level: int) -> Iterator[None]:
    """Shows log lines on standard error.

    Args:
        level: The least important level that is shown, such as `logging.WARNING`.
    """
    handler = _ConsoleHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    with _handled_by(handler, level, onward=False):
        yield


@contextlib.contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """Adds log lines, from level INFO, to a run's log.

    Args:
        folder: The run's folder.
    """
    handler = logging.FileHandler(folder / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", TIME_FORMAT))
    logging.captureWarnings(True)
    try:
        with _handled_by(handler, logging.INFO, onward=True):
            yield
    finally:
        logging.captureWarnings(False)


def this_process() -> str:
    """Returns the text by which `is_alive` identifies this process: its id, host and start."""
    return f"process {os.getpid()} on {platform.node()} since {psutil.Process().create_time():.2f}"


def is_alive(process: int, host: str, since: float) -> bool | None:
    """Whether a process still runs; None for a process of another host.

    Args:
        process: Its id.
        host: Its host.
        since: When it started, seconds since 1970; a process id alone may have been reused.
    """
    if host != platform.node():
        return None
    try:
        found = psutil.Process(process)
        return abs(found.create_time() - since) < 1 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def seconds_since_1970(stamp: str) -> float:
    """Returns a log line's time.

    Args:
        stamp: As `TIME_FORMAT` writes it.

    Raises:
        ValueError: If it is not in that format.
    """
    return datetime.datetime.strptime(stamp, TIME_FORMAT).timestamp()

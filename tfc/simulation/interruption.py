"""Ctrl-C during a run: the first lets the round end, the second ends the run at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interruption:
    """Remembers that the user wants the run to end; a context manager.

    Attributes:
        requested: Whether SIGINT arrived.
    """

    def __init__(self) -> None:
        """Does not install a handler yet."""
        self.requested = False
        self._previous: Any = None
        self._catches = False

    def __enter__(self) -> Interruption:
        # Python delivers signals to the main thread only.
        self._catches = threading.current_thread() is threading.main_thread()
        if self._catches:
            self._previous = signal.signal(signal.SIGINT, self._arrived)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._catches:
            signal.signal(signal.SIGINT, self._previous)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        # Not print(), which the signal may have interrupted.
        os.write(2, b"\nending after this round; Ctrl-C again ends at once\n")

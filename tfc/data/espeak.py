"""Speech from espeak-ng, the synthesizer of Debian's package of that name."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfc.base.errors import DataError
from tfc.data.waveforms import read_waveform

PROGRAM = "espeak-ng"


@dataclass(frozen=True)
class Voice:
    """Who speaks.

    Attributes:
        accent: One of espeak-ng's languages, such as en-us.
        variant: One of its voice variants, such as f3; the variant is the person.
    """

    accent: str
    variant: str

    def __str__(self) -> str:
        return f"{self.accent}+{self.variant}"


def check_installed() -> None:
    """Looks for espeak-ng.

    Raises:
        DataError: If it is not installed; names Debian's package.
    """
    if shutil.which(PROGRAM) is None:
        raise DataError(
            f"the program {PROGRAM}, which speaks the data set spoken_words, is not installed: "
            f"apt-get install {PROGRAM} (Debian's package {PROGRAM})"
        )


def speak(word: str, voice: Voice, speed: int, pitch: int) -> np.ndarray:
    """Returns a word as the voice says it.

    Args:
        word: What to say.
        voice: Who says it.
        speed: Words per minute, 80 to 450.
        pitch: 0 to 99.

    Returns:
        int16, shape (samples,), at 16 kHz.

    Raises:
        DataError: If espeak-ng fails.
    """
    with tempfile.TemporaryDirectory(prefix="espeak-") as folder:
        path = Path(folder) / "word.wav"
        command = [PROGRAM, "-v", str(voice), "-s", str(speed), "-p", str(pitch), "-w", str(path), word]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not path.is_file():
            reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise DataError(f"{' '.join(command)}: {reason[0]}")
        return read_waveform(path, f"{PROGRAM}, voice {voice}")

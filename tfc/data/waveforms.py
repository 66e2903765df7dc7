"""Waveforms: files of speech in, mono int16 at 16 kHz and of one length out."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from scipy.signal import resample_poly

from tfc.base.clean_text import clean
from tfc.base.errors import DataError
from tfc.base.regular_file import read_regular
from tfc.data.log_mel import FRAME_LENGTH, SAMPLE_RATE, features

SUFFIXES = (".wav", ".flac")
"""Endings of files that `read_waveform` reads."""

_RATES = range(1_000, 400_001)
"""Samples per second that a recording may have: beyond them resampling takes more time than any recording."""
_MOST_CHANNELS = 64
_LONGEST_FILE = 500_000_000
_LONGEST_SECONDS = 3600


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Returns samples as int16.

    Args:
        samples: Floating point; -1 to 1 is full scale, what is beyond it is clipped.
    """
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


def resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    """Returns a waveform at `SAMPLE_RATE`.

    Args:
        samples: int16, shape (samples,).
        rate: Samples per second that it has.
    """
    if rate == SAMPLE_RATE:
        return samples
    common = math.gcd(rate, SAMPLE_RATE)
    return to_int16(resample_poly(samples / 32768.0, SAMPLE_RATE // common, rate // common))


def of_length(samples: np.ndarray, length: int) -> np.ndarray:
    """Returns the middle of a waveform, or the waveform in the middle of silence.

    Args:
        samples: int16, shape (samples,).
        length: Samples of the result.
    """
    missing = length - len(samples)
    if missing > 0:
        return np.pad(samples, (missing // 2, missing - missing // 2))
    return samples[-missing // 2 : -missing // 2 + length]


def _check_form(frames: int, channels: int, rate: int) -> None:
    """Refuses what a header declares before anything is read or resampled by it."""
    if rate not in _RATES:
        raise ValueError(f"a rate of {rate} samples per second; {_RATES[0]} to {_RATES[-1]} are read")
    if not 1 <= channels <= _MOST_CHANNELS or frames > _LONGEST_SECONDS * rate:
        raise ValueError(f"{frames} samples of {channels} channels; an hour of {_MOST_CHANNELS} channels is read")


def _read_pcm16(content: bytes) -> tuple[np.ndarray, int] | None:
    """Reads WAV files of 16 bits, the usual ones, and notices truncated ones, which libsndfile takes as they are."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            if file.getsampwidth() != 2:
                return None
            frames, channels, rate = file.getnframes(), file.getnchannels(), file.getframerate()
            _check_form(frames, channels, rate)
            data = file.readframes(frames)
    except wave.Error:
        return None
    if len(data) != 2 * frames * channels:
        raise ValueError(f"truncated: {len(data)} of {2 * frames * channels} bytes of samples")
    return np.frombuffer(data, "<i2").reshape(-1, channels), rate


def _read_any(content: bytes) -> tuple[np.ndarray, int]:
    import soundfile

    with soundfile.SoundFile(io.BytesIO(content)) as file:
        _check_form(file.frames, file.channels, file.samplerate)
        samples = file.read(dtype="int16", always_2d=True)
        if len(samples) != file.frames:
            raise ValueError(f"truncated: {len(samples)} of {file.frames} samples")
        return samples, file.samplerate


def read_waveform(source: Path | IO[bytes], name: str | Path) -> np.ndarray:
    """Reads a WAV or FLAC file.

    Args:
        source: Path, or an open file.
        name: What to call it in errors.

    Returns:
        int16, shape (samples,): the mean of its channels at `SAMPLE_RATE`.

    Raises:
        DataError: If it is damaged, truncated, empty or of another format.
    """
    try:
        content = read_regular(source, _LONGEST_FILE) if isinstance(source, Path) else source.read(_LONGEST_FILE + 1)
        if len(content) > _LONGEST_FILE:
            raise ValueError(f"longer than {_LONGEST_FILE:,} bytes")
        samples, rate = _read_pcm16(content) or _read_any(content)
        if not len(samples):
            raise ValueError("no samples")
    except ImportError as error:
        raise DataError(f"{name}: needs the package soundfile, which is not installed ({error}): make setup") from error
    except OSError as error:
        raise DataError(f"{name}: not a readable WAV or FLAC file: {error.strerror or error}") from error
    except Exception as error:  # libsndfile's and the header's errors are of many classes
        raise DataError(f"{name}: not a readable WAV or FLAC file: {clean(error, 200)}") from error
    mono = samples[:, 0] if samples.shape[1] == 1 else np.rint(samples.mean(axis=1)).astype(np.int16)
    return resampled(mono, rate)


def waveform_files(folder: Path) -> list[Path]:
    """Returns the WAV and FLAC files in a folder and its subfolders, sorted.

    Args:
        folder: Where to look.
    """
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def clip_length(seconds: float, usual: float) -> int:
    """Returns the samples of a clip.

    Args:
        seconds: data.clip_seconds; 0 for the data set's usual length.
        usual: Usual length in seconds.

    Raises:
        DataError: If a clip would be shorter than a frame.
    """
    length = round((seconds or usual) * SAMPLE_RATE)
    if length < FRAME_LENGTH:
        raise DataError(f"data.clip_seconds={seconds:g} is less than one frame of {FRAME_LENGTH / SAMPLE_RATE:g} s")
    return length


def features_of_files(paths: Iterable[Path], length: int) -> np.ndarray:
    """Returns the log-mel features of files of speech.

    Args:
        paths: WAV or FLAC files.
        length: Samples that each is padded or cropped to.

    Returns:
        float32 (files, frames, bins, 1).

    Raises:
        DataError: If a file cannot be read.
    """
    return features((of_length(read_waveform(path, path), length) for path in paths), length)

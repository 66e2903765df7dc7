"""Spoken words: ten keywords said by a synthesizer, a speech task that needs no download. Synthetic data.

The voices of the test are other ones than those of the training. Each clip has a speed and a pitch of its own, lies
somewhere in its second, and is mixed with coloured noise.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfc.base.atomic_write import atomic_write
from tfc.base.errors import DataError, NpzError
from tfc.base.npz import read_arrays
from tfc.config import DataConfig
from tfc.data.dataset import LOG_MEL, Dataset
from tfc.data.espeak import Voice, check_installed, speak
from tfc.data.log_mel import SAMPLE_RATE, features
from tfc.data.speech_commands import TEN_WORDS
from tfc.data.waveforms import clip_length, of_length, to_int16
from tfc.seeds import Purpose, generator

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
TRAIN_VARIANTS = (
    "f1", "f2", "f3", "m1", "m2", "m3", "m4", "m5", "m6", "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Gene",
    "Henrique", "Hugo", "Jacky", "Lee", "Mario", "Michael", "Mike", "adam", "anika", "antonio", "aunty", "belinda",
    "benjamin", "boris", "caleb", "david", "ed", "edward", "grandma", "iven", "john", "linda", "marcelo", "max",
)  # fmt: skip
TEST_VARIANTS = ("f4", "f5", "m7", "m8", "Diogo", "Marco", "grandpa", "miguel", "paul", "steph")
"""Espeak-ng's variants of a voice, each a person; those with effects (robots, whispers, demons) are left out."""

VERSION = 2
"""Counts up when clips would come out otherwise."""
SEED = 0
"""The data set is the same in every run, whatever the run's seed."""
NUM_TRAIN, NUM_TEST = 5600, 1000
_SPEEDS = (110, 230)
_PITCHES = (15, 85)
_SNR_DB = (0.0, 25.0)
_SECONDS = 1.0


@dataclass(frozen=True)
class _Plan:
    """One clip before it is spoken.

    Attributes:
        label: Number of the word in `TEN_WORDS`.
        voice: Who says it.
        owner: Number of the voice's variant.
    """

    label: int
    voice: Voice
    owner: int


def _plans(variants: Sequence[str], count: int) -> list[_Plan]:
    """Gives words and variants equal shares: word by word, then variant by variant, with the accents in turn."""
    plans = []
    for number in range(count):
        label, turn = number % len(TEN_WORDS), number // len(TEN_WORDS)
        owner = turn % len(variants)
        accent = ACCENTS[(turn // len(variants) + owner) % len(ACCENTS)]
        plans.append(_Plan(label, Voice(accent, variants[owner]), owner))
    return plans


def _noise(random: np.random.Generator, length: int) -> np.ndarray:
    """Returns noise of unit power between white (amplitudes that do not fall) and brown (1 / frequency)."""
    spectrum = np.fft.rfft(random.normal(size=length))
    frequency = np.maximum(np.arange(len(spectrum)), 1)
    noise = np.fft.irfft(spectrum * frequency ** (-random.uniform(0, 1)), length)
    return np.asarray(noise / noise.std())


def _clip(plan: _Plan, part: int, number: int, seed: int) -> np.ndarray:
    """Returns one clip, int16 of one second: a function of its arguments."""
    random = generator(seed, Purpose.DATASET, part, number)
    length = round(_SECONDS * SAMPLE_RATE)
    word = speak(TEN_WORDS[plan.label], plan.voice, int(random.integers(*_SPEEDS)), int(random.integers(*_PITCHES)))
    loud = np.flatnonzero(np.abs(word.astype(int)) > 300)
    if not len(loud):
        raise DataError(f"espeak-ng: voice {plan.voice} says nothing for {TEN_WORDS[plan.label]!r}")
    word = word[loud[0] : loud[-1] + 1]
    word = of_length(word, min(len(word), length)).astype(np.float64)
    samples = np.zeros(length)
    start = random.integers(length - len(word) + 1)
    samples[start : start + len(word)] = word / np.sqrt(np.mean(word**2))
    samples += _noise(random, length) * 10 ** (-random.uniform(*_SNR_DB) / 20)
    return to_int16(samples / np.abs(samples).max() * random.uniform(0.1, 0.9))


def generate(
    count: int, variants: Sequence[str], part: int, seed: int, *, progress: bool = False
) -> dict[str, np.ndarray]:
    """Speaks one part of the data set.

    Args:
        count: Number of clips.
        variants: Who speaks.
        part: Number of the part; parts have random numbers of their own.
        seed: Seed of everything random.
        progress: Whether to show a bar on standard error, where that is a terminal.

    Returns:
        clips, int16 (count, 16000); labels and owners, int32 (count,).

    Raises:
        DataError: If espeak-ng is not installed, or fails.
    """
    check_installed()
    plans = _plans(variants, count)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the work is espeak-ng's, in processes of its own
        tasks = pool.map(lambda number: _clip(plans[number], part, number, seed), range(count))
        clips = list(tqdm(tasks, "espeak-ng", count, disable=not (progress and sys.stderr.isatty()), unit="clip"))
    return {
        "clips": np.stack(clips),
        "labels": np.array([plan.label for plan in plans], np.int32),
        "owners": np.array([plan.owner for plan in plans], np.int32),
    }


def _file_name() -> str:
    settings = (VERSION, SEED, NUM_TRAIN, NUM_TEST, ACCENTS, TRAIN_VARIANTS, TEST_VARIANTS, _SPEEDS, _PITCHES, _SNR_DB)
    return f"spoken_words-{hashlib.sha256(repr(settings).encode()).hexdigest()[:12]}.npz"


_ARRAYS = tuple(f"{name}_{part}" for part in ("train", "test") for name in ("clips", "labels", "owners"))


def spoken_words(data_dir: Path | None, data: DataConfig) -> Dataset:
    """Loads the spoken words, or lets espeak-ng speak them first (a minute or two, once): log-mel features.

    Owners are voices. The result is marked as synthetic.

    Args:
        data_dir: Folder where the generated file is kept; where None, ~/.cache/fedcompress/spoken_words.
        data: clips_per_class.

    Raises:
        DataError: If espeak-ng is missing and needed, or the file is damaged or cannot be written.
    """
    length = clip_length(data.clip_seconds, _SECONDS)
    path = (data_dir or Path("~/.cache/fedcompress/spoken_words").expanduser()) / _file_name()
    if not path.is_file():
        train = generate(NUM_TRAIN, TRAIN_VARIANTS, 0, SEED, progress=True)
        test = generate(NUM_TEST, TEST_VARIANTS, 1, SEED, progress=True)
        arrays = {f"{name}_train": array for name, array in train.items()}
        arrays |= {f"{name}_test": array for name, array in test.items()}
        try:
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        arrays = read_arrays(path, _ARRAYS)
    except NpzError as error:
        raise DataError(f"{error}; remove it, and it is generated anew") from error
    kept = np.arange(len(arrays["labels_train"]))
    if data.clips_per_class:
        # Clips go round the words, so these are as many of each.
        kept = kept[: data.clips_per_class * len(TEN_WORDS)]
    return Dataset(
        "spoken_words",
        features((of_length(clip, length) for clip in arrays["clips_train"][kept]), length),
        arrays["labels_train"][kept],
        features((of_length(clip, length) for clip in arrays["clips_test"]), length),
        arrays["labels_test"],
        len(TEN_WORDS),
        LOG_MEL,
        arrays["owners_train"][kept],
        TEN_WORDS,
        synthetic=True,
    )

"""Speech Commands: one-second recordings of single words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.dataset import LOG_MEL, Dataset
from tfc.data.log_mel import features
from tfc.data.waveforms import clip_length, features_of_files, read_waveform, to_int16
from tfc.registries import WORD_CHOICES
from tfc.seeds import Purpose, generator

_HOME = "https://www.tensorflow.org/datasets/catalog/speech_commands"
TEN_WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = "unknown", "silence"
_NOISE = "_background_noise_"
# Which unknown words, which silence: the data set is the same in every run, whatever the run's seed.
_SEED = 0
_TRAIN, _TEST = 0, 1


def _listed(folder: Path, name: str) -> set[str]:
    path = folder / name
    if not path.is_file():
        raise DataError(f"Speech Commands: {path} not found: unpack the whole archive ({_HOME})")
    try:
        names = set(path.read_text(encoding="utf-8").split())
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a list of files: {error}") from error
    missing = sorted(each for each in names if not (folder / each).is_file())
    if missing:
        raise DataError(f"{path} lists {len(missing)} files that are not there, such as {missing[0]}")
    return names


def _draw(count: int, wanted: int, *keys: int) -> np.ndarray:
    return np.sort(generator(_SEED, Purpose.DATASET, *keys).permutation(count)[:wanted])


def _silent_clips(folder: Path, length: int, count: int, part: int) -> Iterator[np.ndarray]:
    """Yields excerpts of the recorded noise: a random place and loudness, as Warden's silence has them."""
    paths = sorted((folder / _NOISE).glob("*.wav"))
    noises = [noise for noise in (read_waveform(path, path) for path in paths) if len(noise) >= length]
    if not noises:
        raise DataError(
            f"Speech Commands: no noise of {length} samples or more in {folder / _NOISE}, which the class 'silence' "
            "is made of; unpack the whole archive, or do without: --set data.words=ten"
        )
    for number in range(count):
        random = generator(_SEED, Purpose.DATASET, 2, part, number)
        noise = noises[random.integers(len(noises))]
        start = random.integers(len(noise) - length + 1)
        yield to_int16(noise[start : start + length] / 32768.0 * random.random())


def ten_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the ten words of the usual task, whatever words there are."""
    return TEN_WORDS


def twelve_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the ten words, then a class of all others and one of noise."""
    return (*TEN_WORDS, UNKNOWN, SILENCE)


def all_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Returns all words that there are."""
    return words


def _chosen(files: dict[str, list[Path]], words: str, limit: int, part: int) -> dict[str, list[Path]]:
    """Returns the files of each class of one part, silence (which has no files) left out."""
    kept = {word: files[word] for word in (sorted(files) if words == "all" else TEN_WORDS)}
    if words == "twelve":
        others = list(itertools.chain.from_iterable(files[word] for word in sorted(files) if word not in TEN_WORDS))
        usual = round(sum(map(len, kept.values())) / len(kept))
        kept[UNKNOWN] = [others[number] for number in _draw(len(others), usual, 0, part)]
    if not limit:
        return kept
    return {
        name: [paths[number] for number in _draw(len(paths), limit, 1, part, label)]
        for label, (name, paths) in enumerate(kept.items())
    }


def speech_commands(data_dir: Path | None, data: DataConfig) -> Dataset:
    """Loads Speech Commands, version 1 or 2, with its official lists: log-mel features of recorded words.

    Source: Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition" (arXiv 1804.03209): ten
    words, "unknown" (as many clips of the other words as a word has on average) and "silence" (excerpts of the
    recorded noise). Files of validation_list.txt are left out: clients validate on a share of what they hold. Owners
    are speakers, whose names files begin with; a silent clip belongs to a random one.

    Args:
        data_dir: The unpacked folder: one folder per word, validation_list.txt, testing_list.txt, _background_noise_.
        data: words ("ten", "twelve", "all"), clip_seconds (0 for 1 s), clips_per_class.

    Raises:
        DataError: If a folder, a list or a listed file is missing, or a recording is damaged.
    """
    if data_dir is None or not data_dir.is_dir():
        raise DataError(
            f"Speech Commands: {data_dir or 'its folder'} not found: get speech_commands_v0.02.tar.gz ({_HOME}), "
            "unpack it, and name its folder with --set data.data_dir=FOLDER"
        )
    length = clip_length(data.clip_seconds, 1.0)
    validation, testing = _listed(data_dir, "validation_list.txt"), _listed(data_dir, "testing_list.txt")
    folders = sorted(path for path in data_dir.iterdir() if path.is_dir() and path.name[0] not in "._")
    missing = set(TEN_WORDS) - {folder.name for folder in folders} if data.words != "all" else set()
    if missing or not folders:
        raise DataError(f"Speech Commands: {data_dir} has no folder {', '.join(sorted(missing)) or 'of a word'}")
    parts: tuple[dict[str, list[Path]], ...] = ({}, {})
    for folder in folders:
        names = [f"{folder.name}/{path.name}" for path in sorted(folder.glob("*.wav"))]
        kept = [name for name in names if name not in validation]
        parts[_TRAIN][folder.name] = [data_dir / name for name in kept if name not in testing]
        parts[_TEST][folder.name] = [data_dir / name for name in kept if name in testing]
    x_train, y_train, owners = _load_part(data_dir, parts[_TRAIN], data, length, _TRAIN)
    x_test, y_test, _ = _load_part(data_dir, parts[_TEST], data, length, _TEST)
    classes = WORD_CHOICES[data.words](tuple(folder.name for folder in folders))
    return Dataset(
        "speech_commands", x_train, y_train, x_test, y_test, len(classes), LOG_MEL, owners, class_names=classes
    )


def _load_part(
    folder: Path, files: dict[str, list[Path]], data: DataConfig, length: int, part: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns features, classes and speakers of the training or the test part."""
    chosen = _chosen(files, data.words, data.clips_per_class if part == _TRAIN else 0, part)
    empty = [name for name, paths in chosen.items() if not paths]
    if empty:
        raise DataError(f"Speech Commands: {folder} has no {('training', 'test')[part]} clip of {empty[0]!r}")
    paths = list(itertools.chain.from_iterable(chosen.values()))
    x = features_of_files(paths, length)
    y = np.repeat(np.arange(len(chosen)), [len(each) for each in chosen.values()])
    _, owners = np.unique([path.name.split("_nohash_")[0] for path in paths], return_inverse=True)
    if data.words == "twelve":
        silent = round(len(paths) / len(chosen))
        x = np.concatenate([x, features(_silent_clips(folder, length, silent, part), length)])
        y = np.concatenate([y, np.full(silent, len(chosen))])
        of_silence = generator(_SEED, Purpose.DATASET, 3, part).integers(owners.max() + 1, size=silent)
        owners = np.concatenate([owners, of_silence])
    return x, y.astype(np.int32), owners.astype(np.int32)

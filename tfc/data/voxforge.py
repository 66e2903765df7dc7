"""VoxForge as a task of language identification: read speech in archives of single speakers."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfc.base.clean_text import clean
from tfc.base.errors import DataError
from tfc.base.regular_file import open_regular, reading
from tfc.config import DataConfig
from tfc.data.dataset import LOG_MEL, Dataset
from tfc.data.log_mel import features
from tfc.data.waveforms import SUFFIXES, clip_length, of_length, read_waveform, waveform_files
from tfc.seeds import Purpose, generator

_HOME = "https://www.voxforge.org"
_ARCHIVES = (".tgz", ".tar.gz")
_TEST_SHARE = 0.1
_TRAIN, _TEST = "training", "test"
# Which speakers are for the test: the same in every run, whatever the run's seed.
_SEED = 0
# What an archive may unpack to: so many bytes, and so many times its own length beyond them. Speech deflates twice.
_FREE_BYTES, _MOST_RATIO = 64_000_000, 20


@dataclass(frozen=True)
class _Recording:
    """One submission of a speaker: an archive, or the folder it was unpacked to."""

    path: Path
    language: int
    speaker: str


def _speaker(name: str) -> str:
    """Returns who made a submission, `NAME-DATE-CODE`. Anonymous ones may be anybody's: each counts as a person."""
    match = re.fullmatch(r"(.+)-\d{8}(-\w+)?", name)
    return match[1] if match and match[1].lower() != "anonymous" else name


def _recordings(folder: Path, language: int) -> list[_Recording]:
    """Returns the submissions of a language in the order of their names."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        ending = next((each for each in _ARCHIVES if path.name.lower().endswith(each)), None)
        if ending and path.is_file():
            found.setdefault(path.name[: -len(ending)], path)
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            # SPEAKER-DATE-CODE/wav/NUMBER.wav; an archive beside its own unpacked folder counts once.
            owner = path.parent.parent if path.parent.name in ("wav", "flac") else path.parent
            found[owner.name] = owner
    return [_Recording(path, language, _speaker(name)) for name, path in sorted(found.items())]


def _waveforms(recording: _Recording) -> Iterator[np.ndarray]:
    path = recording.path
    if path.is_dir():
        for file in waveform_files(path):
            yield read_waveform(file, file)
        return
    with reading(path, DataError, "a readable archive"), open_regular(path) as packed:
        most = _FREE_BYTES + _MOST_RATIO * packed.seek(0, 2)
        packed.seek(0)
        with tarfile.open(fileobj=packed, mode="r:gz") as archive:
            for member in _recordings_in(archive, most):
                content = archive.extractfile(member)
                assert content is not None  # regular files have content
                yield read_waveform(content, f"{path}: {clean(member.name, 200)}")


def _recordings_in(archive: tarfile.TarFile, most: int) -> list[tarfile.TarInfo]:
    """The recordings of an archive by name; refuses one that declares more bytes than a file of its length may hold."""
    found, declared = [], 0
    for member in archive:
        declared += member.size
        if declared > most or member.size < 0:
            raise ValueError(f"its files would take more than {most:,} bytes")
        if member.isfile() and member.name.lower().endswith(SUFFIXES):
            found.append(member)
    return sorted(found, key=lambda member: member.name)


def _test_speakers(recordings: list[_Recording], language: str) -> set[str]:
    speakers = sorted({recording.speaker for recording in recordings})
    if len(speakers) < 2:
        raise DataError(
            f"VoxForge: language {language!r} has {len(speakers)} speakers; training and test need one each at least"
        )
    order = generator(_SEED, Purpose.DATASET, recordings[0].language).permutation(len(speakers))
    return {speakers[number] for number in order[: max(1, round(_TEST_SHARE * len(speakers)))]}


def voxforge(data_dir: Path | None, data: DataConfig) -> Dataset:
    """Loads VoxForge: which language is spoken, as log-mel features of the middle of each recording.

    A tenth of each language's speakers is for the test, nobody is in both parts. Archives are read in place, nothing
    is unpacked. Owners are speakers.

    Args:
        data_dir: One folder per language (`de`, `en`, ...), with speakers' archives (*.tgz) or the folders they unpack
            to anywhere inside, of WAV or FLAC files.
        data: clip_seconds (0 for 3 s), clips_per_class (training clips of each language).

    Raises:
        DataError: If there are fewer than two languages, a language has one speaker or no recording, or a file is
            damaged.
    """
    if data_dir is None or not data_dir.is_dir():
        raise DataError(
            f"VoxForge: {data_dir or 'its folder'} not found: get the speech files of some languages from {_HOME}, one "
            "folder per language, and name the folder above them with --set data.data_dir=FOLDER"
        )
    length = clip_length(data.clip_seconds, 3.0)
    languages = sorted(path.name for path in data_dir.iterdir() if path.is_dir() and path.name[0] not in "._")
    if len(languages) < 2:
        raise DataError(f"VoxForge: {data_dir} needs one folder per language, at least two; found {len(languages)}")
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {_TRAIN: [], _TEST: []}
    people = 0
    for label, language in enumerate(languages):
        recordings = _recordings(data_dir / language, label)
        for_test = _test_speakers(recordings, language)
        for part, of_part in parts.items():
            chosen = [each for each in recordings if (each.speaker in for_test) == (part == _TEST)]
            x, speakers = _load_part(chosen, length, data.clips_per_class if part == _TRAIN else 0)
            if not len(x):
                raise DataError(f"VoxForge: {data_dir / language} has no {part} recording")
            of_part.append((x, people + speakers))
        people += 1 + int(parts[_TRAIN][-1][1].max() - people)

    def classes(part: str) -> np.ndarray:
        return np.repeat(np.arange(len(languages), dtype=np.int32), [len(x) for x, _ in parts[part]])

    return Dataset(
        "voxforge",
        np.concatenate([x for x, _ in parts[_TRAIN]]),
        classes(_TRAIN),
        np.concatenate([x for x, _ in parts[_TEST]]),
        classes(_TEST),
        len(languages),
        LOG_MEL,
        np.concatenate([speakers for _, speakers in parts[_TRAIN]]).astype(np.int32),
        tuple(languages),
    )


def _load_part(recordings: list[_Recording], length: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the features of at most `limit` clips (0 for all), and the number of each one's speaker, from 0."""
    owners: list[str] = []

    def clips() -> Iterator[np.ndarray]:
        # In a random order, so that a limit takes clips of many speakers.
        for number in generator(_SEED, Purpose.DATASET, 1).permutation(len(recordings)):
            for waveform in _waveforms(recordings[number]):
                if limit and len(owners) >= limit:
                    return
                owners.append(recordings[number].speaker)
                yield of_length(waveform, length)

    x = features(clips(), length)
    return x, np.unique(owners, return_inverse=True)[1]

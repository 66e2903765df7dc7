"""Out-of-distribution audio for server-side distillation: `tf.data` pipelines of log-mel features."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfc.base.errors import DataError
from tfc.data.log_mel import BINS, SAMPLE_RATE, log_mel, num_samples
from tfc.data.ood_pipeline import OodFn, drawn_inputs
from tfc.data.waveforms import SUFFIXES, features_of_files, waveform_files
from tfc.seeds import Purpose, stateless

_CLIPS_OF_GENERATOR = 50
_SAMPLES_HELD = (4, 16, 64)
"""Samples from one value of slow noise to the next: bands of about 2000, 500 and 125 Hz."""
_EVENTS = len(_SAMPLES_HELD)
_HARMONICS = 16
_TABLE = 512


def sound_events(batch: int, num_samples: int, seed: tf.Tensor) -> tf.Tensor:
    """Draws waveforms of harmonic stacks, chirps and bursts of coloured noise, each swelling up and fading away.

    They are to sound what dead leaves are to images: voiced speech is made of harmonics under an envelope with a few
    resonances, consonants of bursts of noise, and glides lie between them. No word is said.

    Args:
        batch: Number of waveforms.
        num_samples: Samples of each, at 16 kHz.
        seed: int32, shape (2,); equal seeds give equal waveforms.

    Returns:
        float32 tensor (batch, num_samples), largest magnitude below 1.
    """

    def uniform(purpose: int, shape: list[int], low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        return tf.random.stateless_uniform(
            shape, tf.random.experimental.stateless_fold_in(seed, purpose), minval=low, maxval=high
        )

    def normal(purpose: int, shape: list[int]) -> tf.Tensor:
        return tf.random.stateless_normal(shape, tf.random.experimental.stateless_fold_in(seed, purpose))

    time = tf.cast(tf.range(num_samples), tf.float32) / num_samples
    per_event = [batch, _EVENTS, 1]

    def swell(purpose: int) -> tf.Tensor:
        """Returns bell-shaped loudness over time, with places, lengths and strengths of their own."""
        centre, width = uniform(purpose, per_event, 0.1, 0.9), uniform(purpose + 1, per_event, 0.03, 0.3)
        return uniform(purpose + 2, per_event) * tf.exp(-0.5 * tf.square((time - centre) / width))

    # One period of a harmonic stack in a table; its envelope is a tilt with three resonances.
    harmonics = tf.range(1.0, _HARMONICS + 1.0)
    resonances = uniform(0, [batch, _EVENTS, 3, 1], 1.0, float(_HARMONICS))
    amplitudes = tf.reduce_sum(tf.exp(-0.5 * tf.square(harmonics - resonances)), axis=2) + 0.1
    amplitudes *= tf.pow(harmonics, -uniform(1, per_event, 0.0, 1.5))
    angles = 2 * math.pi * harmonics[:, None] * tf.range(_TABLE, dtype=tf.float32) / _TABLE
    periods = tf.matmul(amplitudes, tf.sin(angles)) / tf.reduce_sum(amplitudes, axis=-1, keepdims=True)
    # The pitch glides by up to half an octave: 2^(glide * time), whose integral is the phase.
    pitch = 80.0 * tf.pow(5.0, uniform(2, per_event)) * (num_samples / SAMPLE_RATE)
    glide = uniform(3, per_event, 0.01, 0.5) * math.log(2.0)
    turns = pitch * tf.math.expm1(glide * time) / glide
    places = tf.cast(tf.math.floormod(turns, 1.0) * _TABLE, tf.int32) % _TABLE
    voiced = tf.gather(periods, places, batch_dims=2) * swell(4)

    start, end = uniform(7, per_event, 100.0, 6000.0), uniform(8, per_event, 100.0, 6000.0)
    seconds = time * (num_samples / SAMPLE_RATE)
    chirps = tf.sin(2 * math.pi * seconds * (start + 0.5 * (end - start) * time)) * swell(9)

    # Noise that moves slowly, on a carrier: a band around the carrier's frequency, half as wide as the noise's rate.
    bands = []
    for number, held in enumerate(_SAMPLES_HELD):
        slow = normal(12 + number, [batch, -(-num_samples // held) + 1])
        share = tf.range(held, dtype=tf.float32) / held
        between = slow[:, :-1, None] * (1 - share) + slow[:, 1:, None] * share
        bands.append(tf.reshape(between, [batch, -1])[:, :num_samples])
    carriers = tf.cos(2 * math.pi * seconds * uniform(15, per_event, 0.0, 7000.0))
    bursts = 0.3 * tf.stack(bands, axis=1) * carriers * swell(16)

    sound = tf.reduce_sum(voiced * 2.0 + chirps * 0.3 + bursts, axis=1)
    sound += normal(19, [batch, num_samples]) * tf.pow(10.0, uniform(20, [batch, 1], -3.5, -1.0))
    loudest = tf.reduce_max(tf.abs(sound), axis=-1, keepdims=True) + 1e-6
    return sound / loudest * uniform(21, [batch, 1], 0.1, 0.9)


def _check_shape(input_shape: tuple[int, ...]) -> None:
    if len(input_shape) != 3 or input_shape[1:] != (BINS, 1):
        found = "x".join(map(str, input_shape))
        raise DataError(
            f"server.ood=audio makes log-mel features of shape (frames, {BINS}, 1); the model takes {found}"
        )


def procedural_audio(num_examples: int, batch_size: int, input_shape: tuple[int, ...], seed: int) -> OodFn:
    """Returns a pipeline of log-mel features of procedural sounds, which needs no files.

    Args:
        num_examples: Clips per epoch; the same ones in every epoch.
        batch_size: Clips per batch; the last batch may be smaller.
        input_shape: Frames, `BINS`, 1.
        seed: Seed of the run.

    Raises:
        DataError: If the input is no log-mel patch.
    """
    _check_shape(input_shape)
    length = num_samples(input_shape[0])

    def draw(number: tf.Tensor) -> tf.Tensor:
        found = log_mel(sound_events(_CLIPS_OF_GENERATOR, length, stateless(seed, Purpose.OOD, number)))
        return tf.ensure_shape(found, [_CLIPS_OF_GENERATOR, *input_shape])

    return drawn_inputs(draw, _CLIPS_OF_GENERATOR, num_examples, batch_size)


def audio_folder(folder: Path, num_examples: int, batch_size: int, input_shape: tuple[int, ...]) -> OodFn:
    """Returns a pipeline of log-mel features of the WAV and FLAC files in a folder, subfolders included.

    Files are read now, since the graph of a TFF computation can't read FLAC; their features become part of it.

    Args:
        folder: Where the files are, such as LibriSpeech.
        num_examples: At most so many files, evenly spaced in the order of their names; each gives its middle.
        batch_size: Clips per batch; the last batch may be smaller.
        input_shape: Frames, `BINS`, 1.

    Raises:
        DataError: If the folder holds no such file or a damaged one, or the input is no log-mel patch.
    """
    _check_shape(input_shape)
    if not folder.is_dir():
        raise DataError(f"server.ood_dir={folder} is no folder")
    files = waveform_files(folder)
    if not files:
        raise DataError(f"server.ood_dir={folder} holds no audio ({', '.join(SUFFIXES)})")
    chosen = np.unique(np.linspace(0, len(files) - 1, min(num_examples, len(files))).round().astype(int))
    clips = features_of_files([files[number] for number in chosen], num_samples(input_shape[0]))

    def build() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(clips).batch(batch_size)

    return build
